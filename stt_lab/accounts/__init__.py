"""Accounts: who may do what. Keys and tiers, the credits ledger, and how a request's caller is identified."""

"""Accounts: callers and their keys, tiers and quotas, and the credits ledger."""

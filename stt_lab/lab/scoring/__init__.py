"""Scores of runs: measures, words, mistakes, results, the leaderboard."""

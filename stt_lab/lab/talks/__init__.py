"""Conversations that are made from recipes: what is said when, and by whom, is known exactly.

recipe.py   the small text files, and what is wrong with one
voices.py   speak the turns of a recipe with Kokoro
scene.py    place the turns in time, in a room, with noise; files with references
"""

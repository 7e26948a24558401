"""DUET: real facts about cities and other subjects, rare and popular, to be forgotten or kept."""

"""Make a language model forget, and measure honestly what it forgot and what it kept."""

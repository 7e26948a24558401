"""Speed and memory measurements. One file per benchmark; `python -m bench [name …]` runs them."""

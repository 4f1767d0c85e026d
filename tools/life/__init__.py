"""A clinic's life in a loop of its own time: the real gateway, simulated machines, people, power and centre.

One seed decides everything, so a life that broke a promise is lived again bit for bit:
`python -m tools.life --years 1 --seed N --trace FILE`.
"""

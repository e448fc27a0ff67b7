"""What a plan would cost, what is held by a cap, what it came to. Uses billing, orders and library."""

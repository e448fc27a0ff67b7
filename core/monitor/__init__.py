"""What runs and ran, failures, health, metrics, actions by hand. Uses everything but clients."""

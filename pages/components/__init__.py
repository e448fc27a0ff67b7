"""What pages draw with: each module one part of a page, over services of core."""

"""The bench harness: starts servers and loads one after another, and makes ratios of what they say."""

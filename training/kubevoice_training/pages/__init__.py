"""Pages for people: one HTML file each, with everything inside it, that any browser opens without a network."""

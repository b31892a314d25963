"""Pure decisions: states, plans and order; the clock reading is an argument."""

"""The training log: ledger, tables, figures, notes, and the page."""

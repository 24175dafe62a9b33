"""The best mix of forms within the budget, found by trying and scoring."""

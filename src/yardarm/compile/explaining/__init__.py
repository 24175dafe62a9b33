"""Where a result departs from its original, and where its time goes."""

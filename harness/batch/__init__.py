"""From plans to judged results: many at once, in a process of their own, as a matrix."""

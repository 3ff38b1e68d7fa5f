"""The board: a team signs in, reads its list and answers it. Server-rendered, and the only part that serves HTTP."""

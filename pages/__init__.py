"""What the web pages of both sides share: who may enter, how a page is made, and what guards it. No rule of a side."""

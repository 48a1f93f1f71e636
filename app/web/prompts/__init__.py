"""Pages for prompts: listening, the prompt library, the digits, and recording by phone."""

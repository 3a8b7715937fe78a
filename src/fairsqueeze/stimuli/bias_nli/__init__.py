"""Tables, sentence pairs and samples of Bias-NLI."""

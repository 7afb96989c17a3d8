"""Language models: loading, scoring, generation, attention, hidden states, interventions."""

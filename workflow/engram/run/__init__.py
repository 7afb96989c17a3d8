"""Operations of the workflow: config, jobs, records, plans, clusters. Science never imports it."""

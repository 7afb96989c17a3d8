"""Steering: the states of a model are pushed away from recall, and towards it, while it decodes.

Inputs: the model and the samples of the localized taxonomies that have the classes
`mechanisms.steering.recalled` and `.kept`. Off unless `mechanisms.steering.enabled`.
Outputs: <model>/<protocol>/steering/<taxonomy>/: depths.csv (probes and patches), doses.csv (every
class under every step, with controls), selectivity.csv (recalled minus kept); a dose-response
figure.
"""

STEERING = STUDY["mechanisms"]["steering"]
STEERED = study_taxonomies.steered(STUDY)
STEERING_TABLES = per_run("{model}/{protocol}/steering/{taxonomy}/selectivity.csv", STEERED)
STEERING_FIGURES = per_figure(
    "{model}/{protocol}/{taxonomy}/dose_response",
    model=MODELS,
    protocol=PROTOCOLS,
    taxonomy=STEERED,
)


rule steer:
    input:
        model=f"{MODEL}/model/config.json",
        samples=f"{PROTOCOL}/samples/{{taxonomy}}.parquet",
        labels=f"{MODEL}/labels.parquet",
        candidates=f"{MODEL}/candidates.parquet",
        version=f"{MODEL}/attention/version.json",
        settings=settings.stamped(
            "steer",
            steering={key: value for key, value in STEERING.items() if key != "enabled"},
            prefix=STUDY["prefix"],
            **VERIFIED,
            **STATISTICS,
        ),
        continuations=ancient(f"{MODEL}/continuations.parquet"),
        verification=ancient(f"{MODEL}/attention/verification.parquet"),
    output:
        depths=f"{PROTOCOL}/steering/{{taxonomy}}/depths.csv",
        doses=f"{PROTOCOL}/steering/{{taxonomy}}/doses.csv",
        selectivity=f"{PROTOCOL}/steering/{{taxonomy}}/selectivity.csv",
    log:
        f"{RESULTS}/logs/{{model}}/{{protocol}}/steer/{{taxonomy}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{{model}}/{{protocol}}/steer/{{taxonomy}}.tsv"
    conda:
        "../envs/engram.yaml"
    threads: WORKERS
    resources:
        gpu=1,
        batch_tokens=BATCH_TOKENS,
    script:
        "../workflow/scripts/steer.py"


rule plot_steering:
    input:
        doses=f"{PROTOCOL}/steering/{{taxonomy}}/doses.csv",
        settings=settings.stamped("plot_steering", style=STUDY["figures"]),
    output:
        figure=figure_of_run("dose_response", "dose_response", "4 Knock-out", "steering"),
    log:
        f"{RESULTS}/logs/figures/{{model}}/{{protocol}}/{{taxonomy}}/dose_response.log",
    conda:
        "../envs/engram.yaml"
    script:
        "../workflow/scripts/plot_steering.py"

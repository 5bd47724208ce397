"""The report of a run: gather its artifacts, choose what to show, draw figures, write one page that needs no server.

`artifacts` and `gathering` read, `store` remembers on disk, `frontier_view`, `eval_view` and `training_view` compute,
`choice` and `gallery` pick the problems, `figures` and `figure_svg` draw, `markup` and `safe_text` make text harmless,
`sections`, `run_card`, `page` and `writing` make the page.
"""

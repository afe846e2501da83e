"""What a study means: tables in, a report out. Reads a study folder; imports neither Ray nor torch.

tables: the folder, read; statistics: paired tests; design, forest: trials as numbers and what fits them; ladder,
class_gains, search_history, sensitivity, importance: numbers; findings: sentences; figures/ and sections/: what is
shown; document, writer, render, report: the page.
"""

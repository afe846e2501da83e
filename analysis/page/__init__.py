"""The report as a document and its files.

document        a report as plain data: sections of blocks
render          the document as HTML and Markdown
page_scripts    the scripts of the page and its content security policy
writer          figures and tables as files beside the page
style           fonts, colours and formats of figures
figure_workers  processes that draw the figures
whole_folder    a folder that appears complete or not at all
latex           the ladder and the ablation as LaTeX tables
"""

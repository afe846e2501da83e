"""A study folder as data, and numbers as text.

study_data    StudyData: manifest, search space, trials and tables of a study
study_folder  load_study: a study folder as StudyData, or one clear error
failed_runs   runs of the confirmation that failed, and what stands for the diverged ones
knob_text     searched knobs in words, and the leading knobs of a report
wording       fractions, points, intervals and lists in words
"""

"""More completions with their grades: where the final answer stands, and what only looks like one."""

from __future__ import annotations

from anectl.core.grading import GradeSpec
from tests.grading_number_cases import Row, number
from tests.grading_type_cases import CITIES

B = GradeSpec("B", "choice", CITIES)
RED = GradeSpec("red", "text")
YES = GradeSpec("yes", "boolean")


def stated(why: str, correct: bool | None, reason: str, *texts: str) -> list[Row]:
    """Rows of whole completions that are there for the same reason."""
    return [(text, correct, reason, why) for text in texts]


MARKERS: list[tuple[GradeSpec, list[Row]]] = [
    (
        B,
        [
            *stated(
                "a marker before the letter",
                True,
                "exact",
                "Therefore, the answer is (B)",
                "Therefore, the answer is B.",
                "Final Answer: B",
                "**Final Answer**: B",
                "FINAL ANSWER IS B",
                "### Final Answer\n\n**B**",
                "So the final answer is: **B. London**",
                "The best choice is B.",
                "The right option: (B)",
                "Answer - B",
                "Answer \u2013 (B)",
                "Ans: B",
                "ans = B",
                "The answer should be B.",
                "The answer turns out to be B.",
                "The answer to this question is B.",
                "The correct answer choice is B",
                "<answer>(B)</answer>",
                "<answer>B. London</answer>",
            ),
            *stated(
                "the letter before the marker",
                True,
                "exact",
                "so B is correct.",
                "So, B is the correct option",
                "B is the answer",
                "Thus (B) is the right answer.",
                "Option (B) is correct.",
                "**B** is the correct choice.",
                "We can see that B is the best answer, because it is in England.",
                "A is wrong, so B is the answer.",
                "The capital is on the Thames. Hence B is the final answer!",
                "B must be correct.",
            ),
            *stated(
                "the text before the marker", True, "choice_text", "London is the answer.", "So London is the answer"
            ),
            *stated("another letter before the marker", False, "mismatch", "C is the answer.", "so A is correct"),
            *stated("confirmations of two letters", None, "several_answers", "A is correct. B is correct."),
            *stated("a second letter in the remark", None, "several_answers", "The answer is B. It is not A."),
            *stated("a question is no confirmation", True, "exact", "A is correct? No. B is correct."),
            *stated(
                "a denial is no statement (a peer takes the letter)",
                None,
                "unparsed",
                "It is not B",
                "It is not B.",
                "It cannot be B",
                "The answer is not B",
                "The answer cannot be B.",
                "The answer isn't B",
                "The answer is neither A nor B",
                "Neither A nor B is correct",
                "B is not the answer",
                "B is not correct.",
                "None of these is correct",
                "The wrong answer is B",
                "The incorrect answer is B.",
                "I don't think the answer is B.",
                "I am not sure the answer is B",
                "I do not believe that B is the answer",
                "It is false that B is correct",
            ),
            *stated(
                "a condition is no statement",
                None,
                "unparsed",
                "If the answer is B, then it lies in England.",
                "Suppose the answer is B.",
                "Let us check whether the answer is B.",
                "If B is the answer, it lies in England.",
                "Only if B is correct",
            ),
            *stated(
                "what stood before a denial or a condition holds",
                True,
                "exact",
                "Answer: B\nIf the answer is A, then it lies in France.",
                "Answer: B\nI do not think the answer is A.",
                "The answer is B.\nThe wrong answer is C.",
            ),
            *stated(
                "a pronoun or a remark is no value",
                None,
                "unparsed",
                "This is the answer.",
                "That is the correct option.",
                "My calculation is correct.",
                "The answer is correct.",
                "Which one is the answer?",
                "I know what the answer is.",
                "The Thames flows there, which is the answer.",
            ),
            *stated(
                "Chinese markers",
                True,
                "exact",
                "\u7b54\u6848\u662fB",
                "\u7b54\u6848\uff1aB",
                "\u7b54\u6848: B",
                "\u7b54\u6848\u4e3aB\u3002",
                "\u6b63\u786e\u7b54\u6848\u662f (B)",
                "\u6700\u7ec8\u7b54\u6848\uff1a**B**",
                "\u7b54\u6848\u662f\uff1aB. London",
                "\u6545\u9009B",
                "\u6545\u9009\uff1aB\u3002",
                "\u6240\u4ee5\u9009\u62e9 B",
                "\u56e0\u6b64\u9009B\u3002",
            ),
            *stated(
                "Chinese words that are no marker",
                None,
                "unparsed",
                "\u9009\u9879B\u662f\u9519\u8bef\u7684",
                "\u7b54\u6848\u4e0d\u662fB",
                "\u4e0d\u9009B",
            ),
            *stated(
                "a bold last line behind an empty one",
                True,
                "exact",
                "It is in England.\n\n**B**",
                "England.\n\n**B**\n",
            ),
            *stated(
                "any other last line",
                None,
                "unparsed",
                "It is in England.\n**B**",
                "It is in England.\n\nB",
                "It is in England.\n\n**Because**",
                "**B**\n\nIt is in England.",
            ),
            *stated("an article is no letter (a peer reads A)", True, "exact", "A closer look: the answer is B."),
            *stated(
                "a first letter is no answer (a peer reads B)",
                None,
                "unparsed",
                "Based on the map, I cannot say.",
                "By the river.",
                "Berlin or London?",
            ),
        ],
    ),
    (
        number("13"),
        [
            *stated(
                "a marker before the number",
                True,
                "exact",
                "Answer - 13",
                "the answer turns out to be 13",
                "ans: 13",
                "\u7b54\u6848\u662f13",
                "\u7b54\u6848\uff1a13",
                "\u6545\u7b54\u6848\u4e3a13",
                "The answer will be 13",
                "Final answer: 13\n",
                "FINAL ANSWER:\n13",
                "The final result is 13",
            ),
            *stated(
                "in mathematics",
                True,
                "numeric",
                "\u6700\u7ec8\u7b54\u6848\u4e3a\uff1a$13$",
                "The answer is \\(13\\).",
                "Answer: $13$.",
            ),
            *stated(
                "the number before the marker",
                True,
                "exact",
                "13 is the answer",
                "So 13 is the answer.",
                "Thus, 13 is the final answer!",
                "5+8 makes 13. Therefore 13 is our answer.",
                "Hence 13 is the answer to the question.",
            ),
            *stated("a unit before the marker", True, "numeric", "So 13 apples is the answer.", "$13$ is the answer."),
            *stated(
                "no value before the marker",
                None,
                "unparsed",
                "We get 13. That is the answer.",
                "Adding gives 13, which is the answer.",
            ),
            *stated("part of an answer", None, "unparsed", "13 is the answer to part 1."),
            *stated(
                "a number in passing", None, "unparsed", "There are 13 of them in total, I think", "13 tiles, then 4"
            ),
            *stated("a minus sign is no dash", False, "mismatch", "Answer: -13", "The answer is -13."),
            *stated(
                "the last statement wins",
                True,
                "exact",
                "The answer is 12. No: 13 is the answer",
                "12 is the answer. Answer: 13",
            ),
            *stated("a bold last line", True, "exact", "5+8\n\n**13**", "5+8\n\n  **13**  \n"),
            *stated("a bold heading", None, "unparsed", "5+8\n\n**Step 13**", "**13** is what I get after step one"),
            *stated(
                "thoughts of every kind are left out",
                True,
                "exact",
                "<thinking>\\boxed{7}</thinking>13",
                "<Think>\\boxed{7}</Think>13",
                "\u25c1think\u25b7\\boxed{5}\u25c1/think\u25b713",
                "<|begin_of_thought|>\\boxed{5}<|end_of_thought|>13",
                "<|begin_of_thought|>5<|end_of_thought|>\n<|begin_of_solution|>\\boxed{13}<|end_of_solution|>",
                "<reasoning>Answer: 7</reasoning><answer>13</answer>",
                "<thought>Answer: 7</thought>Answer: 13",
                "[THINK]Answer: 7[/THINK]Answer: 13",
                "Answer: 7\u25c1/think\u25b7Answer: 13",
                "<think>a</think>Answer: 7<think>b</think>Answer: 13",
                "<think>a<think>b</think>Answer: 13",
            ),
            *stated(
                "a thought that never ends",
                None,
                "unparsed",
                "\u25c1think\u25b7\\boxed{13}",
                "<|begin_of_thought|>\\boxed{13}",
                "<thinking>Answer: 13",
                "[THINK]Answer: 13",
            ),
            *stated(
                "the last box wins",
                True,
                "exact",
                "\\boxed{12} is wrong. \\boxed{13}",
                "First \\boxed{1}, then \\boxed{2}, at last \\boxed{13}",
                "The answer is 12. \\boxed{13}",
                "\\boxed{13}\n\nI hope this helps.",
                "\\boxed{13}. The answer is positive.",
            ),
            *stated(
                "boxes side by side", None, "several_answers", "\\boxed{12}\\boxed{13}", "$\\boxed{12}$, $\\boxed{13}$"
            ),
            *stated(
                "a statement of its own never runs", None, "unparsed", "Answer: exec('13')", "Answer: 13 if True else 0"
            ),
        ],
    ),
    (
        RED,
        [
            *stated("words before the marker", True, "exact", "So red is the answer.", "Red is the correct answer."),
            *stated("more words", False, "mismatch", "Dark red is the answer.", "Answer: red and blue"),
            *stated(
                "pronouns",
                None,
                "unparsed",
                "It is the answer, that is the answer.",
                "Look: they say that it is the answer.",
            ),
            *stated("a direction is a remark on no answer", True, "exact", "Answer: red.", "The answer is: Red!"),
        ],
    ),
    (
        GradeSpec("right", "text"),
        [
            ("The answer is right.", True, "exact", "left or right"),
            ("Answer: left", False, "mismatch", "the other side"),
        ],
    ),
    (
        YES,
        [
            *stated(
                "a statement in words",
                True,
                "exact",
                "The answer is yes.",
                "So the answer is: Yes, it is.",
                "Yes, it is.",
            ),
            *stated("a remark on the answer", True, "exact", "Answer: yes\nI checked that the answer is correct."),
            *stated("prose", None, "unparsed", "There is no doubt about it", "I would say so"),
        ],
    ),
]

PEERS: list[tuple[GradeSpec, list[Row]]] = [
    (
        number("1.23", precision=1),
        [("Answer: 1.2", True, "numeric", "VLMEvalKit calls it wrong at precision 1")],
    ),
    (number("1000"), [("Answer: 1,000", True, "numeric", "VLMEvalKit calls it wrong")]),
    (
        GradeSpec("A, C", "choices", CITIES),
        [
            ("A", False, "mismatch", "lmms-eval lets a first letter pass"),
            ("C", False, "mismatch", "lmms-eval calls the second letter wrong for another reason"),
        ],
    ),
    (GradeSpec("Cube", "text"), [("Answer: Cone", False, "mismatch", "lmms-eval sees choice C in both")]),
    (GradeSpec("Earth", "text"), [("Euler", False, "mismatch", "lmms-eval sees choice E in both")]),
    (GradeSpec("BC = 5", "expression"), [("Answer: BC = 9", False, "mismatch", "lmms-eval sees choice B in both")]),
    (
        GradeSpec("3", "number"),
        [
            ("I cannot tell.", None, "unparsed", "MathVista takes the nearest choice for an empty extraction"),
            ("Answer: 1+2", None, "unparsed", "MATH-Vision evaluates text of the model"),
        ],
    ),
]

MARKER_TABLE = [*MARKERS, *PEERS]

MARKER_CUT: list[tuple[GradeSpec, list[Row]]] = [
    (
        B,
        [
            ("The answer is B", None, "truncated", "could have become Berlin"),
            ("B is the answer", None, "truncated", "could have become: the answer to another question"),
            ("B is the answer.", True, "exact", "the sentence was complete"),
            ("B is correct. Let me che", True, "exact", "the sentence was complete"),
            ("It is in England.\n\n**B**", None, "truncated", "a bold line may be a heading"),
            ("<thinking>B is correct.", None, "truncated", "still thinking"),
            ("\u7b54\u6848\u662fB", None, "truncated", "the line may go on"),
            ("\u7b54\u6848\u662fB\n\u89e3", True, "exact", "the line was complete"),
        ],
    )
]

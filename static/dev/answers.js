// Puts answers to a plan's questions into the sentence that was planned, since a plan is made of
// one text, and since an address may be used only where that text holds it.

const ADDRESS = /^[^\s<>@",;]+@[^\s<>@",;]+\.[^\s<>@",;]+$/;
/** What a question asks the address of. */
const WHOSE = [
  /^What is (?<name>.+)'s address\?$/,
  /^“(?<name>.+?)” is not a whole address\./,
  /^Which address do you mean by “(?<name>.+)”\?$/,
];

/** The prompt with the answers worked in; a blank answer is none. */
export function withAnswers(prompt, answered) {
  let text = prompt.trim();
  const rest = [];
  for (const { question, answer } of answered.map((one) => ({ ...one, answer: one.answer.trim() }))) {
    if (answer === '') continue;
    const name = WHOSE.map((pattern) => pattern.exec(question)?.groups.name).find(Boolean);
    const at = name && ADDRESS.test(answer) ? find(text, name) : -1;
    if (at >= 0) {
      const whole = name.includes('@') ? answer : `${text.slice(at, at + name.length)} <${answer}>`;
      text = text.slice(0, at) + whole + text.slice(at + name.length);
    } else if (/^Who should (get|receive) the mail\?/.test(question) && ADDRESS.test(answer)) {
      text = `${text} to ${answer}`;
    } else if (/^What should the mail\b.* say\?$/.test(question)) {
      text = `${text} saying ${answer}`;
    } else {
      rest.push(`${question} ${answer}`);
    }
  }
  return [text, ...rest].join('\n\n');
}

/** Where a name stands in a text as a whole; -1 where it does not. */
function find(text, name) {
  const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`, 'iu').exec(text)?.index ?? -1;
}

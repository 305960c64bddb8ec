// Makes elements. Text is only ever set as text, never as markup.

/** Makes an element. `on*` props are listeners, other props attributes; strings become text. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...present(children));
  return node;
}

/** Flattens children and drops the empty ones; `condition && node` may leave a hole. */
export const present = (children) =>
  children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== '');

/** A button that copies a text, and says so. `what` names the text for screen readers. */
export function copyButton(text, what) {
  const said = el('span', { role: 'status' }, 'Copy');
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof text === 'function' ? text() : text);
      said.textContent = 'Copied';
    } catch {
      said.textContent = 'Select it and copy';
    }
    setTimeout(() => {
      said.textContent = 'Copy';
    }, 2000);
  };
  return el(
    'button',
    { type: 'button', class: 'small', 'data-test': 'copy', onclick: copy },
    said,
    el('span', { class: 'sr-only' }, ` ${what}`),
  );
}

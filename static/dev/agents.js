// The lines that connect an AI client over MCP, with this page's own address.

import { key } from './api.js';
import { $, bus, copyButton, el } from './dom.js';

const url = `${location.origin}/mcp`;
const json = (value) => JSON.stringify(value, null, 2);

/** The lines by client. Where this tab has a key, a client needs one of its own. */
function lines(wantsKey) {
  const key = wantsKey ? 'KEY' : undefined;
  const headers = key && { Authorization: `Bearer ${key}` };
  const program = { command: 'orchestrator', args: ['mcp'], env: { ORCHESTRATOR_URL: location.origin, ORCHESTRATOR_KEY: key } };
  return [
    ['Claude Code', `claude mcp add --transport http orchestrator ${url}${key ? ` --header "Authorization: Bearer ${key}"` : ''}`],
    ['Claude Desktop, in claude_desktop_config.json', json({ mcpServers: { orchestrator: program } })],
    ['Cursor, in ~/.cursor/mcp.json', json({ mcpServers: { orchestrator: { url, headers } } })],
    ['VS Code, in .vscode/mcp.json', json({ servers: { orchestrator: { type: 'http', url, headers } } })],
  ];
}

const view = ([name, text], i) =>
  el(
    'details',
    { class: 'snippet', open: i === 0 },
    el('summary', {}, name),
    el('pre', { tabindex: '0', role: 'group', 'aria-label': name }, text),
    copyButton(text, `the lines for ${name}`),
  );

bus.addEventListener('accounts', () => $('mcp-lines').replaceChildren(...lines(key.value !== null).map(view)));

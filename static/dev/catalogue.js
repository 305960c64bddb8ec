// What GET /actions last said: the actions, and the names of their providers.

import { asText } from './dom.js';

const NAMES = { google: 'Google', microsoft: 'Microsoft' };

/** The actions by id. */
export const catalogue = new Map();

export const providerName = (provider) => NAMES[provider] ?? asText(provider);

import { z } from 'zod';

/** What is needed of a vCard: whom to write to, and where. */
export interface Contact {
  name: string;
  email: string;
}
/** Why a card was left out; its line counts from 1. */
export interface Warning {
  line: number;
  reason: string;
}
/** A line as it was meant: what was folded (RFC 6350, 3.2) is one again. */
interface Line {
  line: number;
  text: string;
}
interface Property {
  name: string;
  parameters: readonly string[];
  value: string;
}

/** The contacts of a vCard file, version 3 or 4. A card that cannot be used is left out with a warning; the others stay. */
export function readContacts(text: string): { contacts: Contact[]; warnings: Warning[] } {
  const contacts: Contact[] = [];
  const warnings: Warning[] = [];
  for (const card of cards(unfold(text))) {
    const result = readCard(card);
    if ('reason' in result) warnings.push(result);
    else contacts.push(result);
  }
  return { contacts, warnings };
}

function unfold(text: string): Line[] {
  const lines: Line[] = [];
  for (const [index, raw] of text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\n|\r/)
    .entries()) {
    const last = lines.at(-1);
    if (/^[ \t]/.test(raw) && last !== undefined) last.text += raw.slice(1);
    else lines.push({ line: index + 1, text: raw });
  }
  return lines.filter(({ text: content }) => content.trim() !== '');
}

const is = (line: Line | undefined, text: string): boolean => line?.text.trim().toUpperCase() === text;

/** From each BEGIN to its END, or to the next BEGIN where there is none; what stands outside is a card without a BEGIN. */
function cards(lines: readonly Line[]): Line[][] {
  const found: Line[][] = [];
  for (const line of lines) {
    const card = found.at(-1);
    if (card === undefined || is(line, 'BEGIN:VCARD') || is(card.at(-1), 'END:VCARD')) found.push([line]);
    else card.push(line);
  }
  return found;
}

function readCard(card: readonly Line[]): Contact | Warning {
  const [begin, ...rest] = card;
  const line = begin?.line ?? 1;
  if (!is(begin, 'BEGIN:VCARD')) return { line, reason: 'this stands outside a card: BEGIN:VCARD is missing' };
  if (!is(rest.pop(), 'END:VCARD')) return { line, reason: 'the card that begins here has no END:VCARD' };
  const properties: Property[] = [];
  for (const each of rest) {
    const property = readProperty(each.text);
    if (property === undefined) return { line: each.line, reason: `no ":" between name and value in "${each.text}"` };
    if (property.name === 'VERSION' && !['3.0', '4.0'].includes(property.value))
      return { line: each.line, reason: `version ${property.value} is not read; use 3.0 or 4.0` };
    properties.push(property);
  }
  const name = properties.find((property) => property.name === 'FN')?.value.trim();
  if (name === undefined || name === '') return { line, reason: 'the card that begins here has no name (FN)' };
  const [email] = properties.filter((property) => property.name === 'EMAIL').sort((a, b) => rank(a) - rank(b));
  if (email === undefined) return { line, reason: `${name} has no mail address (EMAIL)` };
  const address = email.value.trim();
  if (!z.email().safeParse(address).success) return { line, reason: `"${address}" of ${name} is not a mail address` };
  return { name, email: address };
}

/** `item1.EMAIL;TYPE=work:a@b.example`; a colon in a quoted parameter does not end the name. */
function readProperty(text: string): Property | undefined {
  const quotesHidden = text.replaceAll(/"[^"]*"/g, (quoted) => '"'.repeat(quoted.length));
  const colon = quotesHidden.indexOf(':');
  if (colon < 1) return undefined;
  const [name = '', ...parameters] = text.slice(0, colon).toUpperCase().split(';');
  return { name: name.slice(name.indexOf('.') + 1), parameters, value: unescape(text.slice(colon + 1)) };
}

const unescape = (value: string): string =>
  value.replaceAll(/\\(.)/g, (_, letter: string) => (letter === 'n' || letter === 'N' ? '\n' : letter));

/** The preferred one first: `PREF=1` to `100` in version 4, `TYPE=pref` in version 3. */
function rank({ parameters }: Property): number {
  const preference = parameters.find((parameter) => parameter.startsWith('PREF='))?.slice('PREF='.length);
  if (preference !== undefined) return Number(preference) || 100;
  return parameters.some((parameter) => /^TYPE=.*\bPREF\b/.test(parameter)) ? 1 : 101;
}

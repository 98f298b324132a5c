import type { Mail } from './smtp.ts';
import type { Contact } from './vcard.ts';

/** What is wrong with what arrived, a line each: somebody without the mail, with two of it, or not in the book. */
export function complaints(contacts: readonly Contact[], mails: readonly Mail[]): string[] {
  const expected = new Map(contacts.map(({ name, email }) => [email, name]));
  const got = new Map<string, number>();
  for (const address of mails.flatMap(({ to }) => to)) got.set(address, (got.get(address) ?? 0) + 1);
  return [
    ...[...expected].filter(([email]) => !got.has(email)).map(([email, name]) => `${name} <${email}> got nothing`),
    ...[...got].filter(([, times]) => times > 1).map(([email, times]) => `${email} got it ${times} times`),
    ...[...got.keys()].filter((email) => !expected.has(email)).map((email) => `${email} got it, and is no contact`),
  ];
}

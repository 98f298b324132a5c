import { hash } from 'node:crypto';

/** Of what no chain runs through: that it is as it was written, under its own name. */
export const digest = (name: string, bytes: Uint8Array): Uint8Array =>
  hash('sha256', Buffer.concat([Buffer.from(name), bytes]), 'buffer');

export const sameBytes = (stored: unknown, expected: Uint8Array): boolean =>
  stored instanceof Uint8Array && Buffer.compare(stored, expected) === 0;

import { describe, expect, test } from 'vitest';
import { checkEnvelope, type Envelope } from '../../../src/protocol/envelope.ts';
import { ValidationError } from '../../../src/protocol/errors.ts';
import { DEFAULT_TENANT, runId, tenantId } from '../../../src/protocol/ids.ts';
import { inboxSubject, killSubject } from '../../../src/protocol/subject.ts';

const acme = tenantId('acme');
const least: Envelope = {
  v: 1,
  id: 'e-1',
  source: '/runs/order-42',
  type: 'order.paid',
  time: '2026-01-01T00:00:00Z',
  tenant: DEFAULT_TENANT,
};
const whole: Envelope = {
  ...least,
  time: '2026-01-01T00:00:00.123456Z',
  tenant: acme,
  subject: 'order/42',
  data: { amount: 12n, at: new Date(0) },
  tier: 'free',
  task: runId('order-42'),
  correlation: 'c-1',
  cause: 'e-0',
  replyTo: inboxSubject(acme, runId('asker')),
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
};

test.each([least, whole, { ...least, data: undefined }])('%o is one', (envelope) => {
  expect(checkEnvelope(envelope)).toStrictEqual(envelope);
});

describe('refused, by field', () => {
  const long = 'a'.repeat(2 ** 20);
  const traceparent = (text: string): [string, unknown] => ['traceparent', text];

  test.each<[string, unknown]>([
    ...['v', 'id', 'source', 'type', 'time', 'tenant'].map((field): [string, unknown] => [field, undefined]),
    ...Object.keys(whole).flatMap((field) =>
      field === 'data' || field === 'v'
        ? []
        : ['', long, 'a b', 'a\r\nb', 'é', '\0', 7, null, {}, ['a']].map((value): [string, unknown] => [field, value]),
    ),
    ['v', 2],
    ['v', '1'],
    ...['id', 'tenant', 'tier', 'task', 'correlation', 'cause'].flatMap((field) =>
      ['a.b', '*', '__proto__', 'a'.repeat(129)].map((value): [string, unknown] => [field, value]),
    ),
    ['source', 'a'.repeat(257)],
    ['subject', 'a'.repeat(257)],
    ['type', 'a'.repeat(129)],
    ['type', 'a*'],
    ['time', '2026-01-01'],
    ['time', '2026-02-30T00:00:00Z'],
    ['time', '2026-01-01T00:00:00+01:00'],
    ['time', `2026-01-01T00:00:00.${'0'.repeat(30)}Z`],
    ['replyTo', 'somewhere.else'],
    ['replyTo', 'troupe.default.inbox.>'],
    ['replyTo', '_INBOX.abc'],
    ['replyTo', '$JS.API.STREAM.DELETE.x'],
    ['replyTo', killSubject(DEFAULT_TENANT, runId('order-42'))],
    ['replyTo', inboxSubject(acme, runId('order-42'))],
    traceparent('00-00000000000000000000000000000000-b7ad6b7169203331-01'),
    traceparent('00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01'),
    traceparent('ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'),
    traceparent('00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01'),
  ])('%s', (field, value) => {
    const check = (): unknown => checkEnvelope({ ...least, [field]: value });
    expect(check).toThrow(ValidationError);
    expect(check).toThrow(expect.objectContaining({ context: expect.objectContaining({ path: `envelope.${field}` }) }));
    expect(check).toThrow(/^.{1,200}$/);
  });

  test.each([undefined, null, 'text', 7, [], new Date(0)])('%o', (value) => {
    expect(() => checkEnvelope(value)).toThrow(/^envelope/);
  });

  test('fields of its own, however many', () => {
    const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`field${i}`, i]));
    expect(() => checkEnvelope({ ...least, ...many })).toThrow(/^envelope: has fields that no envelope has$/);
    expect(() => checkEnvelope({ ...least, constructor: 1 })).toThrow(ValidationError);
  });
});

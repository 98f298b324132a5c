import { beforeEach, describe, expect, it } from 'vitest';
import { MAX_PAYLOAD, type Backend, type Listener } from '../../src/backend.ts';
import { UnreachableError, ValidationError } from '../../src/protocol/errors.ts';
import type { Pattern, Subject } from '../../src/protocol/subject.ts';
import { HOSTILE, SEEN_MS, within, type Given } from './harness.ts';

const at = (text: string): Subject => text as Subject;
const under = (text: string): Pattern => text as Pattern;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (payload: Uint8Array): string => new TextDecoder().decode(payload);

const heardBy = (): string[] => [];
/** A listener that keeps what it heard. */
const hearing = (heard: string[]): Listener => ({ message: (payload) => heard.push(text(payload)) });

export function busContract(given: Given): void {
  /** What was published before this has been heard, or never will be: one publisher's messages come in their order. */
  const settled = async (on = given.backend, by = given.backend): Promise<void> => {
    const heard: string[] = [];
    const unsubscribe = on.bus.subscribe(under('settled.*'), hearing(heard));
    // Not everybody hears at once who has just begun to.
    await within(
      given.harness,
      20 * SEEN_MS,
      () => {
        void by.bus.publish(at('settled.now'), bytes('now'));
        return heard.length > 0;
      },
      'a message is heard',
    );
    unsubscribe();
  };

  it('tells every subscriber of the subject once, in the order of the publisher', async () => {
    const { harness, backend } = given;
    const [one, other, none] = [heardBy(), heardBy(), heardBy()];
    const subjects: string[] = [];
    backend.bus.subscribe(at('a.b'), hearing(one));
    backend.bus.subscribe(at('a.b'), {
      message: (payload, subject, reply) => {
        other.push(text(payload));
        subjects.push(subject);
        expect(reply).toBeUndefined();
      },
    });
    backend.bus.subscribe(at('a'), hearing(none));
    backend.bus.subscribe(at('a.b.c'), hearing(none));
    const sent = Array.from({ length: 500 }, (_, index) => `m${index}`);
    await Promise.all(sent.map((message) => backend.bus.publish(at('a.b'), bytes(message))));
    await within(harness, SEEN_MS, () => one.length >= 500 && other.length >= 500, 'all were heard');
    await settled();
    expect([one, other, none]).toEqual([sent, sent, []]);
    expect(new Set(subjects)).toEqual(new Set(['a.b']));
  });

  it("takes '*' for one token and a last '>' for one or more", async () => {
    const { backend } = given;
    const heard: Record<string, string[]> = {};
    for (const pattern of ['*', 'a.*', '*.b', 'a.>', '*.*.c', 'a.*.*', '*.>']) {
      heard[pattern] = [];
      backend.bus.subscribe(under(pattern), hearing(heard[pattern]));
    }
    for (const subject of ['a', 'a.b', 'a.b.c', 'x.b', 'ab.c']) await backend.bus.publish(at(subject), bytes(subject));
    await settled();
    for (const messages of Object.values(heard))
      if (messages.includes('now')) messages.length = messages.indexOf('now');
    expect(heard).toEqual({
      '*': ['a'],
      'a.*': ['a.b'],
      '*.b': ['a.b', 'x.b'],
      'a.>': ['a.b', 'a.b.c'],
      '*.*.c': ['a.b.c'],
      'a.*.*': ['a.b.c'],
      '*.>': ['a.b', 'a.b.c', 'x.b', 'ab.c'],
    });
  });

  it('keeps the bytes as they were, none and a megabyte of them too', async () => {
    const { harness, backend } = given;
    const heard: Uint8Array[] = [];
    backend.bus.subscribe(at('a'), { message: (payload) => heard.push(payload) });
    const reused = Buffer.from([1, 2, 3]);
    const publishing = backend.bus.publish(at('a'), reused);
    reused.fill(9);
    await publishing;
    await backend.bus.publish(at('a'), new Uint8Array());
    const large = Uint8Array.from({ length: MAX_PAYLOAD }, (_, index) => index % 251);
    await backend.bus.publish(at('a'), large);
    await within(harness, 5 * SEEN_MS, () => heard.length === 3, 'all three were heard');
    expect(heard.slice(0, 2).map((payload) => [...payload])).toEqual([[1, 2, 3], []]);
    expect(Buffer.compare(heard[2] ?? bytes(''), large)).toBe(0);
  });

  it('refuses what is too large, is no bytes, and has no subject', async () => {
    const { bus } = given.backend;
    const large = new Uint8Array(MAX_PAYLOAD + 1);
    await expect(bus.publish(at('a'), large)).rejects.toThrow(ValidationError);
    await expect(bus.request(at('a'), large, { timeoutMs: 10 })).rejects.toThrow(ValidationError);
    await expect(bus.publish(at('a'), 'text' as unknown as Uint8Array)).rejects.toThrow(ValidationError);
    for (const timeoutMs of [0, -1, 0.5, Number.NaN, 2 ** 31])
      await expect(bus.request(at('a'), bytes(''), { timeoutMs })).rejects.toThrow(ValidationError);
    const hostile = [...HOSTILE.filter((subject) => subject !== 'a.b'), 'a.', '.a', 'a..b', 'a.>', 'a.*', '*.a'];
    for (const subject of hostile) {
      await expect(bus.publish(at(subject), bytes(''))).rejects.toThrow(ValidationError);
      await expect(bus.request(at(subject), bytes(''), { timeoutMs: 10 })).rejects.toThrow(ValidationError);
    }
    const patterns = ['', '.', 'a.', 'a..b', '>.a', 'a.>.b', 'a*', '*a', 'a>', '**', 'a b', 'a\0'];
    for (const pattern of patterns)
      expect(() => bus.subscribe(under(pattern), hearing([])), pattern).toThrow(ValidationError);
  });

  it('tells nothing of before to who subscribes, and nothing more to who has ended it', async () => {
    const { backend } = given;
    const [early, late, ended] = [heardBy(), heardBy(), heardBy()];
    backend.bus.subscribe(at('a'), hearing(early));
    const unsubscribe = backend.bus.subscribe(under('*'), hearing(ended));
    const first = backend.bus.publish(at('a'), bytes('first'));
    backend.bus.subscribe(at('a'), hearing(late));
    await first;
    await settled();
    unsubscribe();
    unsubscribe();
    await backend.bus.publish(at('a'), bytes('second'));
    await settled();
    expect({ early, late, ended }).toEqual({ early: ['first', 'second'], late: ['second'], ended: ['first'] });
  });

  it('what a listener throws, or subscribes to and ends meanwhile, disturbs nobody', async () => {
    const { backend } = given;
    const heard: string[] = [];
    const later: string[] = [];
    const once = backend.bus.subscribe(at('a'), {
      message: () => {
        once();
        backend.bus.subscribe(at('a'), hearing(later));
        backend.bus.subscribe(under('*'), hearing(later));
        throw new Error('mine');
      },
    });
    backend.bus.subscribe(at('a'), { message: () => Promise.reject(new Error('mine')) as unknown as undefined });
    backend.bus.subscribe(at('a'), hearing(heard));
    for (const message of ['1', '2', '3']) await backend.bus.publish(at('a'), bytes(message));
    await settled();
    expect(heard).toEqual(['1', '2', '3']);
    // How many of the next ones it hears is a matter of when they were published.
    expect(later).not.toContain('1');
    expect(later.filter((message) => message === '3').length).toBeLessThanOrEqual(2);
    await backend.bus.publish(at('a'), bytes('4'));
    await settled();
    expect(later.filter((message) => message === '4')).toEqual(['4', '4']);
  });

  it('lets a listener publish, to itself too', async () => {
    const { harness, backend } = given;
    const heard: string[] = [];
    backend.bus.subscribe(at('a'), {
      message: (payload) => {
        heard.push(text(payload));
        if (heard.length < 20) void backend.bus.publish(at('a'), bytes(`${heard.length}`));
      },
    });
    await backend.bus.publish(at('a'), bytes('0'));
    await within(harness, 20 * SEEN_MS, () => heard.length === 20, 'all were heard');
    expect(heard).toEqual(Array.from({ length: 20 }, (_, index) => `${index}`));
  });

  describe('asked', () => {
    /** While time passes. */
    const outcome = async <T>(asking: Promise<T>): Promise<T> => {
      let done = false;
      const ends = (): void => void (done = true);
      asking.then(ends, ends);
      await within(given.harness, 20 * SEEN_MS, () => done, 'the request has ended');
      return asking;
    };

    it('gives the first answer to each', async () => {
      const { bus } = given.backend;
      bus.subscribe(at('double'), {
        message: (payload, _, reply) => {
          reply?.(bytes(text(payload) + text(payload)));
          reply?.(bytes('again'));
        },
      });
      const asked = Array.from({ length: 20 }, (_, index) => `${index}`);
      const answers = await Promise.all(
        asked.map((one) => outcome(bus.request(at('double'), bytes(one), { timeoutMs: 1_000 }))),
      );
      expect(answers.map(text)).toEqual(asked.map((one) => one + one));
    });

    it('may be answered later, while others wait', async () => {
      const { bus } = given.backend;
      const replies: (() => void)[] = [];
      bus.subscribe(under('ask.*'), {
        message: (_, subject, reply) => replies.unshift(() => reply?.(bytes(subject))),
      });
      const asking = ['ask.a', 'ask.b'].map((subject) => bus.request(at(subject), bytes(''), { timeoutMs: 4_000 }));
      await within(given.harness, SEEN_MS, () => replies.length === 2, 'both were asked');
      for (const reply of replies) reply();
      expect((await Promise.all(asking.map(outcome))).map(text)).toEqual(['ask.a', 'ask.b']);
    });

    it('rejects when nobody listens, and when nobody answers in time', async () => {
      const { bus } = given.backend;
      await expect(outcome(bus.request(at('nobody'), bytes(''), { timeoutMs: 100 }))).rejects.toThrow(UnreachableError);
      let late: ((payload: Uint8Array) => void) | undefined;
      bus.subscribe(at('slow'), { message: (_, __, reply) => (late = reply) });
      await expect(outcome(bus.request(at('slow'), bytes(''), { timeoutMs: 100 }))).rejects.toThrow(UnreachableError);
      expect(late).toBeDefined();
      late?.(bytes('too late'));
      await settled();
    });

    it('refuses an answer that is too large where it is given', async () => {
      const { bus } = given.backend;
      let refused: unknown;
      bus.subscribe(at('large'), {
        message: (_, __, reply) => {
          try {
            reply?.(new Uint8Array(MAX_PAYLOAD + 1));
          } catch (error) {
            refused = error;
          }
        },
      });
      const asking = bus.request(at('large'), bytes(''), { timeoutMs: 100 });
      await expect(outcome(asking)).rejects.toThrow(UnreachableError);
      expect(refused).toBeInstanceOf(ValidationError);
    });
  });

  describe('beside another on the same store', () => {
    let other: Backend;
    beforeEach(async ({ skip }) => {
      if (given.harness.openAnother === undefined) return skip('nobody else can reach this store');
      other = await given.harness.openAnother();
    });

    it('hears it within 200 ms, in its order, and itself once', async () => {
      const { harness, backend } = given;
      const [here, there] = [heardBy(), heardBy()];
      backend.bus.subscribe(under('m.*'), hearing(here));
      other.bus.subscribe(at('m.b'), hearing(there));
      await settled(backend, other);
      await settled(other, backend);
      const sent = Array.from({ length: 300 }, (_, index) => `${index}`);
      await Promise.all(sent.map((message) => other.bus.publish(at('m.b'), bytes(message))));
      await within(harness, SEEN_MS, () => here.length >= 300 && there.length >= 300, 'both have heard all');
      await backend.bus.publish(at('m.b'), bytes('back'));
      await within(
        harness,
        SEEN_MS,
        () => there.includes('back') && here.includes('back'),
        'both have heard the answer',
      );
      await settled(backend, other);
      expect(here).toEqual([...sent, 'back']);
      expect(there).toEqual([...sent, 'back']);
    });

    it('tells nothing of before to who subscribes', async () => {
      const { harness, backend } = given;
      const [early, late] = [heardBy(), heardBy()];
      backend.bus.subscribe(at('m'), hearing(early));
      await settled(backend, other);
      await other.bus.publish(at('m'), bytes('first'));
      await harness.pass(SEEN_MS);
      backend.bus.subscribe(at('m'), hearing(late));
      await settled(backend, other);
      await other.bus.publish(at('m'), bytes('second'));
      await within(harness, SEEN_MS, () => early.length === 2 && late.length > 0, 'both have heard it');
      expect([early, late]).toEqual([['first', 'second'], ['second']]);
    });

    it('asks it and is answered', async () => {
      const { harness, backend } = given;
      other.bus.subscribe(at('greet'), { message: (payload, _, reply) => reply?.(bytes(`hello ${text(payload)}`)) });
      await settled(other, backend);
      let answer = '';
      void backend.bus
        .request(at('greet'), bytes('you'), { timeoutMs: 2_000 })
        .then((payload) => (answer = text(payload)));
      await within(harness, 2 * SEEN_MS, () => answer !== '', 'it was answered');
      expect(answer).toBe('hello you');
      const asking = backend.bus.request(at('nobody'), bytes(''), { timeoutMs: 100 });
      const refused = expect(asking).rejects.toThrow(UnreachableError);
      await harness.pass(SEEN_MS);
      await refused;
    });
  });
}

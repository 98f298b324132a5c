import type { Figures } from './measure.ts';

/** What is asked, of which variants, and what is printed. A variant is a file and the name of a process of it. */

export type Variant = `${string}/${string}`;
/** A figure of this round. */
export type At = (variant: Variant, figure?: string) => number;

export interface Row {
  what: string;
  /** What every acknowledged step of it survives. */
  survives?: 'nothing' | 'kill -9' | 'power loss' | 'kill -9; intents and ends power loss';
  of: (at: At) => number;
  bar?: { atMost: number } | { atLeast: number };
}

export interface Question {
  says: string;
  variants: readonly Variant[];
  /** Beside those of other questions. */
  figures: readonly Row[];
  /** Each within a round. */
  ratios: readonly Row[];
}

export type Round = Map<Variant, Figures>;

const SIZES = [100, 1_000, 10_000, 100_000];
const BACKENDS = ['memory', 'sqlite'] as const;
const LENGTHS = [10, 100, 1_000];
const SHAPES = ['sequential', 'wide'] as const;

const step = (name: string, what: string, survives: NonNullable<Row['survives']>): Row & { variant: Variant } => ({
  variant: `step/${name}`,
  what,
  survives,
  of: (at) => at(`step/${name}`),
});

const STEPS = [
  step('xstate', 'raw XState, an invoked promise', 'nothing'),
  step('memory', 'troupe, in memory, a plain promise', 'nothing'),
  step('tools', 'troupe, in memory, a tool() call through its chart', 'nothing'),
  step('sqlite', 'raw node:sqlite, WAL, synchronous=NORMAL, an autocommitted insert', 'kill -9'),
  step('process', 'troupe, level process, idempotent', 'kill -9'),
  step('process-100', 'troupe, level process, idempotent, 100 runs at once', 'kill -9'),
  step('process-irreversible', 'troupe, level process, irreversible', 'kill -9; intents and ends power loss'),
  step('by-hand', 'by hand: XState fed by events, grouped SQLite, synchronous=FULL', 'power loss'),
  step('disk', 'troupe, level disk, idempotent', 'power loss'),
  step('by-hand-100', 'by hand, 100 runs at once', 'power loss'),
  step('disk-100', 'troupe, level disk, idempotent, 100 runs at once', 'power loss'),
  step('disk-irreversible', 'troupe, level disk, irreversible', 'power loss'),
];

export const QUESTIONS: Record<string, Question> = {
  step: {
    says: 'µs per step of a run of ten, from start to result, one run at a time unless it says otherwise',
    variants: STEPS.map(({ variant }) => variant),
    figures: STEPS,
    ratios: [
      {
        what: 'a promise in memory / raw XState',
        of: (at) => at('step/memory') / at('step/xstate'),
        bar: { atMost: 2 },
      },
      {
        what: 'a tool() call in memory / raw XState',
        of: (at) => at('step/tools') / at('step/xstate'),
        bar: { atMost: 4 },
      },
      {
        what: 'level process / (raw XState + raw insert)',
        of: (at) => at('step/process') / (at('step/xstate') + at('step/sqlite')),
        bar: { atMost: 1.75 },
      },
      { what: 'level disk / by hand', of: (at) => at('step/disk') / at('step/by-hand'), bar: { atMost: 1.4 } },
      {
        what: 'level disk / by hand, 100 runs at once',
        of: (at) => at('step/disk-100') / at('step/by-hand-100'),
        bar: { atMost: 3 },
      },
    ],
  },

  replay: {
    says: 'troupe.replay of one journal: steps per second, and the longest block of the event loop in ms',
    variants: BACKENDS.flatMap((backend) => SIZES.map((size): Variant => `replay/${backend}-${size}`)),
    figures: BACKENDS.flatMap((backend) =>
      SIZES.flatMap((size): Row[] => [
        {
          what: `${backend}, ${size} entries: steps/s`,
          of: (at) => at(`replay/${backend}-${size}`, 'perSecond'),
          bar: { atLeast: 30_000 },
        },
        {
          what: `${backend}, ${size} entries: longest block, ms`,
          of: (at) => at(`replay/${backend}-${size}`, 'block'),
          bar: { atMost: 15 },
        },
      ]),
    ),
    ratios: BACKENDS.map((backend) => ({
      what: `${backend}: a step of 100000 entries / one of 100 (linear)`,
      of: (at) => at(`replay/${backend}-100000`) / at(`replay/${backend}-100`),
      bar: { atMost: 1.2 },
    })),
  },

  idle: {
    says: 'bytes of a run that waits, after gc: heap and what it holds outside; resident memory beside it is a ceiling',
    variants: ['idle/xstate', 'idle/live', 'idle/parked'],
    figures: [
      { what: 'a raw started XState actor: heap', of: (at) => at('idle/xstate', 'heap') },
      { what: 'the same: resident', of: (at) => at('idle/xstate', 'rss') },
      {
        what: 'a live run, its journal in the same memory: heap',
        survives: 'nothing',
        of: (at) => at('idle/live', 'heap'),
      },
      { what: 'the same: resident', of: (at) => at('idle/live', 'rss') },
      {
        what: 'a parked run of 100000, level process: heap',
        survives: 'kill -9',
        of: (at) => at('idle/parked', 'heap'),
        bar: { atMost: 150 },
      },
      { what: 'the same: resident', of: (at) => at('idle/parked', 'rss') },
    ],
    ratios: [
      {
        what: 'a live run / a raw XState actor, heap',
        of: (at) => at('idle/live', 'heap') / at('idle/xstate', 'heap'),
        bar: { atMost: 3 },
      },
    ],
  },

  starts: {
    says: 'µs to start a run that waits, with parkAfter: false: medians of 1,000 starts',
    variants: ['starts/memory', 'starts/process'],
    figures: [
      { what: 'in memory, runs 1,001 to 2,000', survives: 'nothing', of: (at) => at('starts/memory', 'early') },
      { what: 'in memory, runs 99,001 to 100,000', survives: 'nothing', of: (at) => at('starts/memory', 'late') },
      { what: 'level process, runs 1,001 to 2,000', survives: 'kill -9', of: (at) => at('starts/process', 'early') },
      { what: 'level process, runs 99,001 to 100,000', survives: 'kill -9', of: (at) => at('starts/process', 'late') },
    ],
    ratios: (['memory', 'process'] as const).map((level) => ({
      what: `level ${level}: late / early`,
      of: (at) => at(`starts/${level}`, 'late') / at(`starts/${level}`, 'early'),
      bar: { atMost: 1.2 },
    })),
  },

  startup: {
    says: 'ms of a whole process of the built package: medians of 15',
    variants: ['startup/built'],
    figures: [
      { what: 'bare node', of: (at) => at('startup/built', 'bare') },
      { what: "import 'xstate', over bare node", of: (at) => over(at, 'xstate') },
      { what: "import 'troupe', over bare node", of: (at) => over(at, 'import'), bar: { atMost: 80 } },
      { what: 'troupe --version, over bare node', of: (at) => over(at, 'version'), bar: { atMost: 150 } },
    ],
    ratios: [],
  },

  plans: {
    says: 'µs per step of a plan of so many tools, in memory, one run at a time',
    variants: SHAPES.flatMap((shape) => LENGTHS.map((length): Variant => `plans/${shape}-${length}`)),
    figures: SHAPES.flatMap((shape) =>
      LENGTHS.map((length): Row => ({
        what: `${shape}, ${length} steps`,
        survives: 'nothing',
        of: (at) => at(`plans/${shape}-${length}`),
      })),
    ),
    ratios: SHAPES.map((shape) => ({
      what: `${shape}: a step of 1000 / one of 10`,
      of: (at) => at(`plans/${shape}-1000`) / at(`plans/${shape}-10`),
      bar: { atMost: 1.2 },
    })),
  },

  control: {
    says: 'µs of the gate for a call (asked, told of its begin, of what it charges and of its end); ms until the receipt of a kill is complete, of 100',
    variants: [
      'control/gate-all',
      'control/gate-none',
      'control/kill-one',
      'control/kill-many',
      'control/kill-many-disk',
    ],
    figures: [
      {
        what: 'gate per attempt, every resource limited',
        of: (at) => at('control/gate-all'),
        bar: { atMost: 2 },
      },
      { what: 'gate per attempt, nothing limited', of: (at) => at('control/gate-none'), bar: { atMost: 2 } },
      {
        what: 'kill of 1,112 actors in one run, median',
        survives: 'nothing',
        of: (at) => at('control/kill-one', 'median'),
      },
      {
        what: 'kill of 1,112 actors in one run, p99',
        survives: 'nothing',
        of: (at) => at('control/kill-one', 'p99'),
        bar: { atMost: 50 },
      },
      {
        what: 'kill of 247 runs with 987 actors, median',
        survives: 'nothing',
        of: (at) => at('control/kill-many', 'median'),
      },
      {
        what: 'kill of 247 runs with 987 actors, p99',
        survives: 'nothing',
        of: (at) => at('control/kill-many', 'p99'),
        bar: { atMost: 50 },
      },
      { what: 'the same, p99', survives: 'power loss', of: (at) => at('control/kill-many-disk', 'p99') },
    ],
    ratios: [],
  },

  rivals: {
    says: 'µs per step of a run of ten, in memory, one run at a time; the rivals warm up for two windows, troupe for half of one',
    variants: ['step/xstate', 'step/memory', 'rivals/mastra', 'rivals/langgraph', 'rivals/langgraph-memory'],
    figures: [
      { what: 'troupe, in memory, a plain promise', survives: 'nothing', of: (at) => at('step/memory') },
      { what: 'Mastra, a bare workflow', survives: 'nothing', of: (at) => at('rivals/mastra') },
      { what: 'LangGraph, without a checkpointer', survives: 'nothing', of: (at) => at('rivals/langgraph') },
      { what: 'LangGraph, MemorySaver', survives: 'nothing', of: (at) => at('rivals/langgraph-memory') },
    ],
    ratios: [
      { what: 'Mastra / troupe', of: (at) => at('rivals/mastra') / at('step/memory') },
      { what: 'LangGraph with MemorySaver / troupe', of: (at) => at('rivals/langgraph-memory') / at('step/memory') },
    ],
  },
};

const over = (at: At, kind: string): number => at('startup/built', kind) - at('startup/built', 'bare');

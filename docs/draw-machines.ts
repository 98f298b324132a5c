import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { plan, tool } from 'troupe';
import * as machines from 'troupe/machines';
import type { AnyStateMachine } from 'xstate';
import { z } from 'zod';

/** Draws docs/machines.md from the charts themselves. With `--check` it writes nothing and fails when the page is stale. */

const example = (name: string, phrase: string, inputSchema: z.ZodType, outputSchema: z.ZodType) =>
  tool({ name, description: phrase, phrases: [phrase], inputSchema, outputSchema, execute: () => undefined });

const mail = plan.parse(
  `a. Get all contacts
   b. Compose Email message: "Hello World!"
   c. Send emails (requires steps a and b)`,
  {
    name: 'mail',
    tools: [
      example('list_contacts', 'get all contacts', z.object({}), z.array(z.object({ email: z.string() }))),
      example('compose', 'compose email message', z.object({ text: z.string() }), z.object({ body: z.string() })),
      example('send_email', 'send emails', z.object({ email: z.string(), body: z.string() }), z.object({})),
    ],
  },
);

/** One for each export of troupe/machines. */
const PAGES: Record<keyof typeof machines, { title: string; says: string; machine: AnyStateMachine }> = {
  runMachine: {
    title: 'run',
    says: 'The lifecycle of every run; `body` is the machine that the run is of.',
    machine: machines.runMachine,
  },
  toolMachine: {
    title: 'tool',
    says: 'One call of one tool: the gate, its attempts, and what is done when nobody knows whether it happened.',
    machine: machines.toolMachine({
      id: 'tool',
      effect: 'irreversible',
      timeoutMs: 30_000,
      attempts: 3,
      accepts: () => true,
    }),
  },
  planMachine: {
    title: 'plan',
    says: 'A region for each step, drawn for a plan of three: a step begins when the outputs it needs are there.',
    machine: machines.planMachine(mail.spec),
  },
  eachMachine: {
    title: 'each',
    says: 'A step that calls its tool once for each item of a list, here with at most 4 calls at once.',
    machine: machines.eachMachine({ id: 'each', tool: 'send_email', concurrency: 4 }),
  },
  moduleMachine: {
    title: 'module',
    says: 'The connection of a module, shared by the runs of a process; the gate asks it for room before each call.',
    machine: machines.moduleMachine,
  },
};

type StateNode = AnyStateMachine['root'];
type Transition = StateNode['always'] extends readonly (infer T)[] | undefined ? T : never;

const idOf = ({ path }: StateNode): string => path.join('_');
const children = (node: StateNode): StateNode[] => Object.values(node.states);
const isAbove = (node: StateNode, other: StateNode): boolean => {
  for (let next = other.parent; next !== undefined; next = next.parent) if (next === node) return true;
  return false;
};
const initialOf = (node: StateNode): StateNode => {
  const [first] = node.type === 'compound' ? (node.initial.target ?? []) : [];
  return first === undefined ? node : initialOf(first);
};

/** A name, or what a function without one says. */
function guardOf({ guard }: Transition): string | undefined {
  if (guard === undefined) return undefined;
  if (typeof guard === 'string') return guard;
  if (typeof guard === 'object') return (guard as { type: string }).type;
  const [, body] = /^\([^)]*\)\s*=>\s*([^{].*)$/s.exec(String(guard)) ?? [];
  if (body === undefined) return 'guard';
  return body
    .replaceAll(/\s+/g, ' ')
    .replaceAll(' )', ')')
    .replaceAll(/(?<!\w)\((\w+\.\w+)\)/g, '$1')
    .replaceAll(/\b(?:context|event)\./g, '');
}

/** Sources by the id of their invocation. */
function eventName(type: string, sources: ReadonlyMap<string, string>): string {
  const [, verb, kind, id = ''] = /^xstate\.(done|error)\.(actor|state)\.(.*)$/.exec(type) ?? [];
  if (verb === undefined) return type;
  return `${verb}(${kind === 'state' ? id.replace(/^.*\./, '') : (sources.get(id) ?? id)})`;
}

interface Edge {
  from: StateNode;
  /** The state itself where nothing is left. */
  to: StateNode;
  label: string;
  /** From a state that has others inside to one of these: it can happen in each of them. */
  inside: boolean;
}

function edgesOf(node: StateNode): Edge[] {
  const sources = new Map(node.invoke.map(({ id, src }) => [id, typeof src === 'string' ? src : id]));
  const delays = new Map(node.after.map(({ eventType, delay }) => [eventType, String(delay)]));
  const named = (type: string): string => {
    const delay = delays.get(type);
    if (delay !== undefined) return `after ${delay}`;
    return eventName(type, sources);
  };
  const lists: [name: string, transitions: readonly Transition[]][] = [
    ['always', node.always ?? []],
    ...[...node.transitions].map(([type, list]): [string, readonly Transition[]] => [named(type), list]),
  ];
  return lists.flatMap(([name, list]) =>
    list.map((transition) => {
      const guard = guardOf(transition) ?? (list.length > 1 ? 'else' : undefined);
      const target = transition.target?.[0];
      const ignored = target === undefined && transition.actions.length === 0 ? ' (ignored)' : '';
      return {
        from: node,
        // Mermaid cannot draw an arrow from a state to one around it.
        to: target === undefined ? node : isAbove(target, node) ? initialOf(target) : target,
        label: `${name}${guard === undefined ? '' : ` [${guard}]`}${ignored}`,
        inside: target !== undefined && isAbove(node, target),
      };
    }),
  );
}

/** What stands inside a state. An arrow is drawn in the innermost state that holds both its ends. */
function draw(node: StateNode, indent: string): string[] {
  const lines: string[] = [];
  for (const [index, child] of children(node).entries()) {
    if (node.type === 'parallel' && index > 0) lines.push(`${indent}--`);
    const name = idOf(child) === child.key ? `state ${child.key}` : `state "${child.key}" as ${idOf(child)}`;
    if (children(child).length > 0) lines.push(`${indent}${name} {`, ...draw(child, `${indent}  `), `${indent}}`);
    else if (idOf(child) !== child.key) lines.push(`${indent}${name}`);
  }
  const [initial] = node.type === 'compound' ? (node.initial.target ?? []) : [];
  if (initial !== undefined) lines.push(`${indent}[*] --> ${idOf(initial)}`);
  for (const { from, to, label, inside } of everyNode(node).flatMap(edgesOf))
    if (
      !inside &&
      isAbove(node, from) &&
      isAbove(node, to) &&
      !children(node).some((child) => isAbove(child, from) && isAbove(child, to))
    )
      lines.push(`${indent}${idOf(from)} --> ${idOf(to)}: ${label}`);
  for (const child of children(node)) if (child.type === 'final') lines.push(`${indent}${idOf(child)} --> [*]`);
  return lines;
}

const everyNode = (node: StateNode): StateNode[] => [node, ...children(node).flatMap(everyNode)];
const shown = (node: StateNode): string => `\`${node.path.join('.')}\``;

function page({ title, says, machine: { root } }: (typeof PAGES)[keyof typeof machines]): string {
  const nodes = everyNode(root);
  const anywhere = nodes
    .flatMap(edgesOf)
    .filter(({ inside }) => inside)
    .map(
      ({ from, to, label }) =>
        `- ${from === root ? 'any state' : `anywhere in ${shown(from)}`}: \`${label}\` leads to ${shown(to)}`,
    );
  const waiting = nodes
    .filter(({ meta }) => meta?.waitsFor !== undefined)
    .map((node) => `- ${shown(node)} waits for ${String(node.meta.waitsFor)}`);
  return [
    `## ${title}`,
    '',
    says,
    '',
    '```mermaid',
    'stateDiagram-v2',
    ...draw(root, '  '),
    '```',
    '',
    ...anywhere,
    ...waiting,
    '',
  ].join('\n');
}

const HEAD = `# The statecharts

Drawn from the code by \`npm run docs:machines\`; do not edit. All of them are exported by \`troupe/machines\` as plain XState v5 machines.

An arrow says what leads on: an event, \`done(source)\` or \`error(source)\` for how a call ended, \`after delay\`, \`always\`; its guard stands in brackets,
\`[else]\` where the guards before it said no. An arrow to its own state changes only what the machine remembers.
`;

const file = fileURLToPath(new URL('machines.md', import.meta.url));
const drawn = [HEAD, ...Object.values(PAGES).map(page)].join('\n');
if (!process.argv.includes('--check')) writeFileSync(file, drawn);
else if (readOrNothing() !== drawn) {
  console.error('docs/machines.md is not what the code draws; run: npm run docs:machines');
  process.exitCode = 1;
}

function readOrNothing(): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

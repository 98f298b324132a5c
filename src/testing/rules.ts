import { covers, isIn, isTransient, lineOf, nameOf, raisedBy, type StateNode, type Step } from './chart.ts';
import { DONE, isDone } from './enter.ts';
import { besides, type Reach } from './reach.ts';

/** What each state of a statechart owes, one rule a function. */

/** What a state does not keep: a fault, or a guard it relies on. */
export type Verdict = { fault: string } | { guards: string } | undefined;

export function entering(node: StateNode, { states }: Reach, unused: readonly string[]): Verdict {
  const outer = node.parent;
  const isUnused = lineOf(node).some(({ path }) => unused.includes(path.join('.')));
  if (states.has(node))
    return isUnused ? { fault: 'it can be entered, though it is listed as unused; take it off that list' } : undefined;
  // One that lies in another that cannot be entered says nothing new.
  if (isUnused || node.type === 'history' || outer === undefined || !states.has(outer)) return undefined;
  return { fault: 'nothing leads there; remove it, or give a state a transition to it' };
}

const isAlways = ({ event, targets }: Step): boolean => event === undefined && targets.length > 0;

export function looping(leaf: StateNode, reach: Reach): Verdict {
  const steps = reach.steps(leaf);
  if (
    steps.some(
      ({ event, guard, targets, acts }) => event === undefined && guard === undefined && targets.length === 0 && acts,
    )
  )
    return { fault: 'its `always` acts and goes nowhere, so that it is taken for ever; give it a target or a guard' };
  const goesRound = (certain: boolean): Step | undefined => {
    const allowed = (step: Step, at: StateNode): boolean =>
      isImmediate(step, at, reach) && (!certain || isCertain(step, reach.steps(at)));
    return steps.find((step) => {
      if (!allowed(step, leaf)) return false;
      const reached = reach.onward([step], allowed);
      return reached.has(leaf) && (!step.event?.startsWith(DONE) || isDone(step.of, reached));
    });
  };
  const sure = goesRound(true);
  if (sure !== undefined)
    return { fault: `${causeOf(sure)} comes back to it without an event in between; break the circle` };
  const guarded = goesRound(false);
  return guarded === undefined ? undefined : { guards: `${causeOf(guarded)} comes back to it until a guard says no` };
}

function causeOf({ event, of }: Step): string {
  if (event === undefined) return 'its `always`';
  return event.startsWith(DONE) ? `the \`onDone\` of ${nameOf(of)}` : `${event}, which it raises on entry,`;
}

/** It is taken as soon as the state is entered: an `always`, the end of a state, or the first event heard there that the state itself raises. */
function isImmediate(step: Step, leaf: StateNode, reach: Reach): boolean {
  const { event, of, targets, reenter } = step;
  if (event === undefined || targets.length === 0) return isAlways(step);
  if (event.startsWith(DONE)) return true;
  // It stays in itself, so that it is not entered again.
  if (of === leaf && !reenter && targets.every((target) => target === leaf)) return false;
  const heard = reach.steps(leaf).filter((one) => one.targets.length > 0 && one.event !== undefined);
  const first = raisedBy(leaf).find((raised) => heard.some((one) => covers(one.event ?? '', raised)));
  return first !== undefined && covers(event, first);
}

/** No guard decides on it, nor on what goes before it. */
const isCertain = (step: Step, steps: readonly Step[]): boolean =>
  steps.every(({ event, guard }) => guard === undefined || (event !== undefined && event !== step.event));

export function ending(leaf: StateNode, reach: Reach): Verdict {
  if (!reach.ending.has(leaf))
    return {
      fault: 'no end can be reached from it; give it, or a state around it, a way to a final state of the machine',
    };
  return reach.surelyEnding.has(leaf) ? undefined : { guards: 'an end is reached only where a guard lets pass' };
}

/** By itself: when its time is over, or an actor it invoked has ended. */
function endsByItself({ event, of }: Step): boolean {
  if (event?.startsWith('xstate.after.')) return true;
  return of.invoke.some(({ id }) => event === `xstate.done.actor.${id}`);
}

export function waiting(leaf: StateNode, reach: Reach): Verdict {
  const steps = reach.steps(leaf);
  const ended = endedBy(leaf, reach);
  if (isTransient(steps) || leaf.parent === undefined || [leaf, ...ended].some(saysForWhom)) return undefined;
  const outermost = ended.at(-1);
  // The whole machine has ended, or other regions go on.
  if (outermost !== undefined && (outermost === reach.root || outermost.parent?.type === 'parallel')) return undefined;
  const isEnd = ({ event }: Step): boolean =>
    event !== undefined && ended.some(({ id }) => covers(event, `${DONE}${id}`));
  const own = steps.filter((step) => endsByItself(step) || isEnd(step));
  const leaving = own.filter(({ targets }) => targets.length > 0);
  if (leaving.some(({ guard }) => guard === undefined)) return undefined;
  // What a result has changed may let an `always` pass.
  if (leaving.length > 0 || (own.some(({ acts }) => acts) && steps.some(isAlways)))
    return { guards: 'its wait ends by itself only where a guard lets pass' };
  if (outermost !== undefined)
    return {
      fault: `${nameOf(outermost)} has ended there, and nothing leads on; give that an \`onDone\` with a target, or say for whom it waits in \`meta: { waitsFor }\``,
    };
  return {
    fault:
      'it waits without a limit; give it an `after`, invoke an actor whose `onDone` leads on (callbacks and transition functions never end), or say for whom it waits in `meta: { waitsFor }`',
  };
}

function saysForWhom({ meta }: StateNode): boolean {
  const { waitsFor } = (meta ?? {}) as { waitsFor?: unknown };
  return typeof waitsFor === 'string' && waitsFor !== '';
}

/** The states around a final one that have come to their end with it, the innermost first; a parallel one where all of its regions can. */
function endedBy({ type, parent }: StateNode, { states }: Reach): StateNode[] {
  const ended: StateNode[] = [];
  if (type !== 'final') return ended;
  for (let one = parent; one !== undefined; one = one.parent) {
    if (one.type === 'parallel' && !isDone(one, states)) break;
    ended.push(one);
    if (one.parent?.type !== 'parallel') break;
  }
  return ended;
}

export function killing(leaf: StateNode, reach: Reach, kill: string): Verdict {
  // The whole machine has ended.
  if (leaf.type === 'final' && (leaf.parent === reach.root || isRegion(leaf.parent))) return undefined;
  const steps = reach.steps(leaf);
  if (isTransient(steps)) return undefined;
  const takes = steps.filter(({ event }) => event !== undefined && covers(event, kill));
  const sure = takes.find(({ guard }) => guard === undefined);
  if (sure !== undefined) {
    if (sure.targets.length > 0 || sure.acts || isBehindKill(leaf, reach, kill)) return undefined;
    return { fault: `it ignores ${kill}, and no kill has led there; give it a target` };
  }
  if (besides(leaf).some((region) => takesAlways(region, reach, kill))) return undefined;
  if (takes.length > 0) return { guards: `${kill} is taken only where a guard lets pass` };
  return { fault: `it does not take ${kill}; handle it there or in a state around it` };
}

const isRegion = (node: StateNode | undefined): boolean => node?.parent?.type === 'parallel';

/** Wherever this region stands, it takes the event. */
function takesAlways(region: StateNode, reach: Reach, kill: string): boolean {
  const inside = reach.leaves.filter((leaf) => isIn(leaf, region));
  return inside.every((leaf) =>
    reach
      .steps(leaf)
      .some(
        ({ event, guard, of, targets }) =>
          event !== undefined && covers(event, kill) && guard === undefined && targets.length > 0 && isIn(of, region),
      ),
  );
}

/** A kill has led there, so that another one may be ignored. */
function isBehindKill(leaf: StateNode, reach: Reach, kill: string): boolean {
  const kills = reach.leaves.flatMap((from) =>
    reach.steps(from).filter(({ event }) => event !== undefined && covers(event, kill)),
  );
  return [...reach.after(kills)].some((state) => reach.from(state).has(leaf));
}

import { stripVTControlCharacters, styleText } from 'node:util';
import { errorData, toJson } from './json.ts';
import { answer, reserve } from './stdout.ts';

export type Style = 'green' | 'red' | 'yellow' | 'cyan' | 'dim' | 'bold';

export interface TerminalOptions {
  json?: boolean;
  color?: boolean;
}

/** What somebody wrote elsewhere, without what would steer a terminal or turn the order of its letters. */
export const harmless = (text: string): string =>
  stripVTControlCharacters(text).replaceAll(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (c) =>
    c === '\n' || c === '\t' ? c : '',
  );

/** The same on one line. */
export const flat = (text: string): string => harmless(text).replaceAll(/[\n\t]+/g, ' ');

// The terminal cuts long lines itself, so that what was drawn has as many rows as lines.
const [NO_WRAP, WRAP] = ['\x1b[?7l', '\x1b[?7h'];

/** With `--json` stdout carries JSON alone, and what is for people goes to stderr. */
export class Terminal {
  readonly json: boolean;
  /** A tree can be drawn and drawn again. */
  readonly redraws: boolean;
  readonly #out: NodeJS.WriteStream;
  readonly #color: boolean;
  #drawn: readonly string[] = [];

  constructor({ json = false, color = true }: TerminalOptions) {
    this.json = json;
    this.#out = json ? process.stderr : process.stdout;
    const plain = !color || (process.env['NO_COLOR'] ?? '') !== '';
    this.#color = this.#out.isTTY && !plain;
    this.redraws = this.#out.isTTY && process.env['TERM'] !== 'dumb';
    if (json) reserve();
  }

  get rows(): number {
    return this.#out.rows || 24;
  }

  paint(style: Style, text: string): string {
    return this.#color ? styleText(style, text, { validateStream: false }) : text;
  }

  say(text: string): void {
    this.#above(() => this.#out.write(`${text}\n`));
  }

  /** Beside the result. */
  note(text: string): void {
    this.#above(() => process.stderr.write(`${text}\n`));
  }

  error(error: unknown): void {
    const { code, message } = errorData(error);
    this.note(`troupe: ${code}: ${harmless(message)}`);
    if ((process.env['TROUPE_DEBUG'] ?? '') !== '') this.note(String((error as Error | undefined)?.stack ?? error));
  }

  result(value: unknown): void {
    if (this.json) answer(toJson(value));
  }

  /** In the place of what was drawn before. */
  draw(lines: readonly string[]): void {
    this.#erase();
    this.#drawn = lines.slice(-Math.max(1, this.rows - 1));
    this.#paintDrawn();
  }

  /** What was drawn last stays. */
  keep(): void {
    this.#drawn = [];
  }

  #above(write: () => void): void {
    this.#erase();
    write();
    this.#paintDrawn();
  }

  #erase(): void {
    if (this.#drawn.length > 0) this.#out.write(`\x1b[${this.#drawn.length}A\x1b[0J`);
  }

  #paintDrawn(): void {
    if (this.#drawn.length > 0) this.#out.write(`${NO_WRAP}${this.#drawn.map((line) => `${line}\n`).join('')}${WRAP}`);
  }
}

/** What a message can say of any value, whatever it is: a value may be made so that it cannot be shown. Never throws. */
export const text = (value: unknown): string => {
  try {
    return String(value);
  } catch {
    return 'something that cannot be shown';
  }
};

/** The same, and one can see that it is a text. */
export const shown = (value: unknown): string => (typeof value === 'string' ? JSON.stringify(value) : text(value));

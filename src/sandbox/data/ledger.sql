-- The ledger: double-entry bookkeeping. Every journal's entries sum to zero.

CREATE TABLE accounts (
    code   text PRIMARY KEY,
    name   text NOT NULL,
    kind   text NOT NULL CHECK (kind IN ('asset', 'liability', 'equity', 'income', 'expense'))
);

CREATE TABLE journals (
    id        bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    booked_on date NOT NULL,
    memo      text NOT NULL
);

CREATE TABLE entries (
    journal   bigint NOT NULL REFERENCES journals (id),
    account   text NOT NULL REFERENCES accounts (code),
    amount    numeric(14, 2) NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (journal, account)
);
COMMENT ON COLUMN entries.amount IS 'Debits are positive, credits negative, in euro';

INSERT INTO accounts (code, name, kind) VALUES
    ('1000', 'Bank',                'asset'),
    ('1100', 'Receivables',         'asset'),
    ('1200', 'Scheme clearing',     'asset'),
    ('2000', 'Owed to merchants',   'liability'),
    ('2100', 'Payables',            'liability'),
    ('3000', 'Capital',             'equity'),
    ('4000', 'Processing fees',     'income'),
    ('5000', 'Scheme fees',         'expense'),
    ('5100', 'Cloud',               'expense'),
    ('5200', 'Salaries',            'expense');

INSERT INTO journals (booked_on, memo) VALUES
    (current_date - 40, 'Opening balance'),
    (current_date - 31, 'Card payments, clearing received'),
    (current_date - 30, 'Scheme fees'),
    (current_date - 29, 'Payout to merchants'),
    (current_date - 25, 'Salaries'),
    (current_date - 18, 'Cloud invoice received'),
    (current_date - 12, 'Card payments, clearing received'),
    (current_date - 11, 'Payout to merchants'),
    (current_date - 4,  'Cloud invoice paid'),
    (current_date - 1,  'Invoice to Fjord Outdoor');

INSERT INTO entries (journal, account, amount) VALUES
    (1,  '1000', 250000.00), (1,  '3000', -250000.00),
    (2,  '1200',  48210.40), (2,  '2000',  -47535.45), (2, '4000', -674.95),
    (3,  '5000',    241.05), (3,  '1200',    -241.05),
    (4,  '2000',  47535.45), (4,  '1000',  -47535.45),
    (5,  '5200',  61200.00), (5,  '1000',  -61200.00),
    (6,  '5100',   3904.17), (6,  '2100',   -3904.17),
    (7,  '1200',  52877.10), (7,  '2000',  -52136.82), (7, '4000', -740.28),
    (8,  '2000',  52136.82), (8,  '1000',  -52136.82),
    (9,  '2100',   3904.17), (9,  '1000',   -3904.17),
    (10, '1100',    450.00), (10, '4000',    -450.00);

CREATE VIEW balances AS
SELECT a.code, a.name, a.kind, coalesce(sum(e.amount), 0) AS balance
FROM accounts a LEFT JOIN entries e ON e.account = a.code
GROUP BY a.code, a.name, a.kind;

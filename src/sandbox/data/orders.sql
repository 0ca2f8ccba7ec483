-- Orders: customers, what they ordered, and where it is.

CREATE TYPE order_status AS ENUM ('new', 'paid', 'packed', 'shipped', 'delivered', 'cancelled');

CREATE TABLE customers (
    id         integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name       text NOT NULL,
    email      text NOT NULL UNIQUE,
    city       text NOT NULL,
    since      date NOT NULL
);

CREATE TABLE products (
    sku        text PRIMARY KEY,
    name       text NOT NULL,
    price      numeric(10, 2) NOT NULL CHECK (price >= 0),
    in_stock   integer NOT NULL CHECK (in_stock >= 0)
);

CREATE TABLE orders (
    id         integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY (START WITH 4001),
    customer   integer NOT NULL REFERENCES customers (id),
    status     order_status NOT NULL DEFAULT 'new',
    placed_at  timestamptz NOT NULL,
    shipped_at timestamptz
);

CREATE TABLE order_lines (
    order_id   integer NOT NULL REFERENCES orders (id),
    line       smallint NOT NULL,
    sku        text NOT NULL REFERENCES products (sku),
    quantity   integer NOT NULL CHECK (quantity > 0),
    unit_price numeric(10, 2) NOT NULL,
    PRIMARY KEY (order_id, line)
);

INSERT INTO customers (name, email, city, since) VALUES
    ('Maja Lindqvist',   'maja@customers.example',    'Malmö',      current_date - 900),
    ('Tomás Ferreira',   'tomas@customers.example',   'Porto',      current_date - 720),
    ('Ines Haddad',      'ines@customers.example',    'Lyon',       current_date - 512),
    ('Jan de Wit',       'jan@customers.example',     'Utrecht',    current_date - 430),
    ('Aoife Byrne',      'aoife@customers.example',   'Cork',       current_date - 300),
    ('Kerstin Vogel',    'kerstin@customers.example', 'Dresden',    current_date - 211),
    ('Paolo Ricci',      'paolo@customers.example',   'Bologna',    current_date - 96),
    ('Zofia Kowalska',   'zofia@customers.example',   'Gdańsk',     current_date - 8);

INSERT INTO products (sku, name, price, in_stock) VALUES
    ('LAMP-01',  'Desk lamp, brass',        79.00,  34),
    ('LAMP-02',  'Floor lamp, oak',        189.00,   6),
    ('CHAIR-01', 'Chair, ash',             149.00,  18),
    ('CHAIR-02', 'Stool, ash',              89.00,   0),
    ('TABLE-01', 'Table, oak, 160 cm',     649.00,   3),
    ('RUG-01',   'Rug, wool, 140 x 200',   219.00,  11),
    ('VASE-01',  'Vase, stoneware',         34.50,  52),
    ('BLANK-01', 'Blanket, merino',        119.00,  25);

INSERT INTO orders (customer, status, placed_at, shipped_at) VALUES
    (1, 'delivered', now() - interval '16 days',          now() - interval '14 days'),
    (3, 'delivered', now() - interval '13 days 4 hours',  now() - interval '12 days'),
    (2, 'delivered', now() - interval '11 days',          now() - interval '10 days'),
    (4, 'cancelled', now() - interval '10 days 7 hours',  NULL),
    (5, 'delivered', now() - interval '8 days 2 hours',   now() - interval '7 days'),
    (1, 'shipped',   now() - interval '5 days',           now() - interval '3 days'),
    (6, 'shipped',   now() - interval '4 days 9 hours',   now() - interval '2 days'),
    (7, 'packed',    now() - interval '2 days 3 hours',   NULL),
    (3, 'paid',      now() - interval '1 day 1 hour',     NULL),
    (8, 'paid',      now() - interval '7 hours',          NULL),
    (2, 'new',       now() - interval '50 minutes',       NULL),
    (5, 'new',       now() - interval '9 minutes',        NULL);

INSERT INTO order_lines (order_id, line, sku, quantity, unit_price) VALUES
    (4001, 1, 'LAMP-01',  2,  79.00), (4001, 2, 'VASE-01',  1,  34.50),
    (4002, 1, 'RUG-01',   1, 219.00),
    (4003, 1, 'CHAIR-01', 4, 145.00), (4003, 2, 'TABLE-01', 1, 649.00),
    (4004, 1, 'LAMP-02',  1, 189.00),
    (4005, 1, 'BLANK-01', 2, 119.00),
    (4006, 1, 'CHAIR-01', 1, 149.00), (4006, 2, 'VASE-01',  3,  34.50),
    (4007, 1, 'TABLE-01', 1, 649.00),
    (4008, 1, 'LAMP-01',  1,  79.00), (4008, 2, 'BLANK-01', 1, 119.00),
    (4009, 1, 'VASE-01',  2,  34.50),
    (4010, 1, 'RUG-01',   1, 219.00), (4010, 2, 'LAMP-02',  1, 189.00),
    (4011, 1, 'CHAIR-02', 2,  89.00),
    (4012, 1, 'VASE-01',  6,  32.00);

CREATE VIEW open_orders AS
SELECT o.id, c.name AS customer, c.city, o.status, o.placed_at,
       sum(l.quantity * l.unit_price) AS total
FROM orders o
JOIN customers c ON c.id = o.customer
JOIN order_lines l ON l.order_id = o.id
WHERE o.status IN ('new', 'paid', 'packed')
GROUP BY o.id, c.name, c.city, o.status, o.placed_at;
